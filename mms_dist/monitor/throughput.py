"""The speed of a run: recent rates, the estimated time left, and whether the loader or the device limits it."""

from collections import deque
from dataclasses import dataclass

from mms_dist.monitor.formatting import percent
from mms_dist.monitor.reports import RoundReport
from shards.wording import counted

WINDOW_SECONDS = 60.0
FEWEST_ROUNDS = 8  # averages cover at least this many rounds, even if they are longer than the window
MOST_WAIT_FRACTION = 0.05
"""Fraction of the rounds' time spent waiting for data above which the user should act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    at_seconds: float  # end of the round, on the caller's monotonic clock
    seconds: float
    audio_seconds: float
    padded_seconds: float
    data_wait_seconds: float
    save_seconds: float
    compute_seconds: float
    read_seconds: float
    read_audio_seconds: float
    steps: int


class Throughput:
    """Moving averages over the last minute, and totals since this process started.

    Speed and fractions cover the rounds only. Steps per second and the time left follow the wall clock, which includes
    work between rounds, such as evaluations.

    Attributes:
        total_steps: optimizer steps of all languages together.
        total_audio_seconds: audio trained on.
        longest_round_seconds: the longest round.
        longest_save_seconds: the longest time to write a checkpoint of every active language to disk.
        readers: loader workers.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self.total_rounds = self.total_steps = 0
        self.total_audio_seconds = 0.0
        self.longest_round_seconds = self.longest_save_seconds = 0.0
        self.readers = 1

    def add(self, report: RoundReport, at_seconds: float) -> None:
        """Add a round that ended at `at_seconds`."""
        self.total_rounds += 1
        self.total_steps += len(report.languages)
        self.total_audio_seconds += report.audio_seconds
        self.longest_round_seconds = max(self.longest_round_seconds, report.seconds)
        self.longest_save_seconds = max(self.longest_save_seconds, report.save_all_seconds)
        self.readers = report.readers
        self._samples.append(
            _Sample(
                at_seconds=at_seconds,
                seconds=report.seconds,
                audio_seconds=report.audio_seconds,
                padded_seconds=report.padded_seconds,
                data_wait_seconds=report.data_wait_seconds,
                save_seconds=report.save_seconds,
                compute_seconds=report.compute_seconds,
                read_seconds=report.read_seconds,
                read_audio_seconds=report.read_audio_seconds,
                steps=len(report.languages),
            )
        )
        while len(self._samples) > FEWEST_ROUNDS and self._samples[0].at_seconds < at_seconds - WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def audio_seconds_per_second(self) -> float:
        """Seconds of speech trained on per second."""
        return _ratio(self._sum("audio_seconds"), self._sum("seconds"))

    @property
    def round_seconds(self) -> float:
        """Mean length of a round."""
        return _ratio(self._sum("seconds"), len(self._samples))

    @property
    def steps_per_second(self) -> float | None:
        """Optimizer steps of all languages together per second; None until there are two rounds."""
        wall = self._wall_seconds() if self._samples else 0.0
        return self._steps_after_first() / wall if wall > 0 else None

    @property
    def padding_fraction(self) -> float:
        """Fraction of the model's audio that is padding."""
        padded = self._sum("padded_seconds")
        return _ratio(padded - self._sum("audio_seconds"), padded)

    @property
    def data_wait_fraction(self) -> float:
        """Fraction of the rounds' time spent waiting for the loader."""
        return _ratio(self._sum("data_wait_seconds"), self._sum("seconds"))

    @property
    def device_audio_seconds_per_second(self) -> float:
        """Seconds of speech that the device trains on per second of its own time; 0 if not measured."""
        return _ratio(self._sum("audio_seconds"), self._sum("compute_seconds"))

    @property
    def loader_audio_seconds_per_second(self) -> float:
        """Seconds of speech that the loader workers read per second of work; 0 if nothing was read."""
        return self.readers * _ratio(self._sum("read_audio_seconds"), self._sum("read_seconds"))

    @property
    def save_fraction(self) -> float:
        """Fraction of the rounds' time spent writing checkpoints."""
        return _ratio(self._sum("save_seconds"), self._sum("seconds"))

    def run_eta_seconds(self, remaining_steps: int) -> float | None:
        """Seconds until all languages together have taken `remaining_steps`; None until there are two rounds.

        The time of a round depends on its audio, so steps per second are steadier than rounds per second.
        """
        steps = self._steps_after_first()
        return remaining_steps * self._wall_seconds() / steps if steps else None

    def language_eta_seconds(self, remaining_rounds: int) -> float | None:
        """Seconds until a language that takes part in every round has taken its remaining steps."""
        rounds = len(self._samples) - 1
        return remaining_rounds * self._wall_seconds() / rounds if rounds > 0 else None

    def _steps_after_first(self) -> int:
        """Steps of the rounds that `_wall_seconds` covers."""
        return sum(sample.steps for sample in list(self._samples)[1:])

    def _wall_seconds(self) -> float:
        return self._samples[-1].at_seconds - self._samples[0].at_seconds

    def _sum(self, name: str) -> float:
        return sum(getattr(sample, name) for sample in self._samples)


def format_read_speed(loader: float, readers: int) -> str:
    """Say how fast the loader workers can read, in seconds of audio per second."""
    return f"{counted(readers, 'loader worker')} can read {loader:,.0f} s of audio per second"


def format_speed_comparison(loader: float, device: float, readers: int) -> str:
    """Say how fast the loader workers can read and the device can train, and which is slower."""
    slower, times = ("device", loader / device) if loader >= device else ("loader", device / loader)
    return f"{format_read_speed(loader, readers)}, the device takes {device:,.0f}: the {slower} is {times:,.1f}x slower"


def format_loader_advice(readers: int) -> str:
    """Say what to do if the loader is slower."""
    return f"raise data.workers (now {readers}), or keep the shards on a local disk"


class LoaderSpeedNotice:
    """Reports the comparison after the first rounds, and whenever waiting for data starts or stops being a problem."""

    def __init__(self) -> None:
        self._waits: bool | None = None

    def line(self, throughput: Throughput) -> str | None:
        """Return the line to print after a round; None if nothing has changed."""
        loader, device = throughput.loader_audio_seconds_per_second, throughput.device_audio_seconds_per_second
        waits = throughput.data_wait_fraction > MOST_WAIT_FRACTION
        if throughput.total_rounds < FEWEST_ROUNDS or not loader or not device or waits == self._waits:
            return None
        self._waits = waits
        line = f"loading: {format_speed_comparison(loader, device, throughput.readers)}"
        line += f"; rounds spend {percent(throughput.data_wait_fraction)} % of their time waiting for data"
        return f"{line}; {format_loader_advice(throughput.readers)}" if waits else line


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
