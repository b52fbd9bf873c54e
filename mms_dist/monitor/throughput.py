"""How fast the run goes: rates over the recent past, and when it will end."""

from collections import deque
from dataclasses import dataclass

from mms_dist.monitor.report import RoundReport

WINDOW_SECONDS = 60.0
FEWEST_ROUNDS = 8  # long rounds are averaged over several, whatever the window


@dataclass(frozen=True, slots=True)
class _Sample:
    at_seconds: float  # when the round ended, on the caller's monotonic clock
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
    """Moving averages over the last minute.

    Speed and fractions are those of the rounds themselves. What the end is estimated from is the wall clock, which
    also counts what happens between rounds, such as evaluations.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self.total_rounds = 0
        self.readers = 1

    def add(self, report: RoundReport, at_seconds: float) -> None:
        """Take a round that ended at `at_seconds` into account."""
        self.total_rounds += 1
        self.readers = report.readers
        self._samples.append(
            _Sample(
                at_seconds,
                report.seconds,
                report.audio_seconds,
                report.padded_seconds,
                report.data_wait_seconds,
                report.save_seconds,
                report.compute_seconds,
                report.read_seconds,
                report.read_audio_seconds,
                len(report.languages),
            )
        )
        while len(self._samples) > FEWEST_ROUNDS and self._samples[0].at_seconds < at_seconds - WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def audio_seconds_per_second(self) -> float:
        """Seconds of speech trained on per second."""
        return _ratio(self._sum("audio_seconds"), self._sum("seconds"))

    @property
    def padding_fraction(self) -> float:
        """The share of the model's audio that was padding."""
        padded = self._sum("padded_seconds")
        return _ratio(padded - self._sum("audio_seconds"), padded)

    @property
    def data_wait_fraction(self) -> float:
        """The share of the rounds' time that was spent waiting for the loader."""
        return _ratio(self._sum("data_wait_seconds"), self._sum("seconds"))

    @property
    def device_audio_seconds_per_second(self) -> float:
        """Seconds of speech that the device trains on per second of its own time; 0 if that was not measured."""
        return _ratio(self._sum("audio_seconds"), self._sum("compute_seconds"))

    @property
    def loader_audio_seconds_per_second(self) -> float:
        """Seconds of speech that the loader's threads read per second of work; 0 if none was read."""
        return self.readers * _ratio(self._sum("read_audio_seconds"), self._sum("read_seconds"))

    @property
    def save_fraction(self) -> float:
        """The share of the rounds' time that was spent writing checkpoints."""
        return _ratio(self._sum("save_seconds"), self._sum("seconds"))

    def run_eta_seconds(self, remaining_steps: int) -> float | None:
        """Time until all languages have taken their `remaining_steps`, together; None before it can be told.

        A round costs what its audio costs, so the languages' steps per second are steadier than the rounds.
        """
        steps = sum(sample.steps for sample in list(self._samples)[1:])
        return remaining_steps * self._wall_seconds() / steps if steps else None

    def language_eta_seconds(self, remaining_rounds: int) -> float | None:
        """Time until a language that is in every round has taken its remaining steps."""
        rounds = len(self._samples) - 1
        return remaining_rounds * self._wall_seconds() / rounds if rounds > 0 else None

    def _wall_seconds(self) -> float:
        return self._samples[-1].at_seconds - self._samples[0].at_seconds

    def _sum(self, name: str) -> float:
        return sum(getattr(sample, name) for sample in self._samples)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
