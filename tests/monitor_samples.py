"""Languages, rounds and clocks as the monitor is told of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from mms_dist.monitor.display_state import DisplayedLanguage, DisplayState
from mms_dist.monitor.history import History
from mms_dist.monitor.metrics_log import MetricsLog
from mms_dist.monitor.reports import LanguageRound, RoundReport


@dataclass(frozen=True)
class PlannedLanguage:
    """A language of a run before it starts."""

    language: str
    steps: int
    utterances: int = 0
    seconds: float = 0.0


@dataclass
class Rates:
    """Error rates of an evaluation."""

    cer: float
    wer: float = 0.9
    utterances: int = 20


@dataclass
class Clock:
    """A clock that a test moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def a_round(
    number: int, *codes: str, seconds: float = 2.0, steps: int = 100, save_all_seconds: float = 0.0
) -> RoundReport:
    """A round of these languages, each with 20 s of audio."""
    lines = [
        LanguageRound(
            language=code,
            step=number,
            steps=steps,
            epoch=number / 10,
            loss=1.0,
            lr=1e-3,
            grad_norm=1.0,
            utterances=4,
            audio_seconds=20.0,
        )
        for code in codes
    ]
    audio = 20.0 * len(codes)
    return RoundReport(
        round=number,
        languages=lines,
        seconds=seconds,
        audio_seconds=audio,
        padded_seconds=audio + 1,
        save_all_seconds=save_all_seconds,
    )


@dataclass
class MetricsWriter:
    """A process that writes a run's metrics, with a clock that each round moves by its length."""

    path: str
    codes: tuple[str, ...] = ("ita", "ron")
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        history = History()
        self.run = DisplayState("run", history, self.clock)
        for code in self.codes:
            self.run.languages[code] = DisplayedLanguage(history.planned(PlannedLanguage(code, 100)))
        self.log = MetricsLog(self.path, now=self.clock.now, clock=self.clock)

    def round(self, report: RoundReport, *, between_seconds: float = 0.0) -> None:
        self.clock.seconds += report.seconds + between_seconds
        self.run.add_round(report)
        self.log.round(self.run, report)

    def rounds(self, first: int, last: int, *, between_seconds: float = 0.0) -> "MetricsWriter":
        """Write rounds `first` to `last`, 2 s each."""
        for number in range(first, last + 1):
            save = 0.1 if number >= 5 else 0.0
            self.round(a_round(number, *self.codes, save_all_seconds=save), between_seconds=between_seconds)
        return self

    def close(self) -> None:
        self.log.close()
