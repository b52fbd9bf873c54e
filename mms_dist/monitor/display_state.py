"""The state of every language and of the run, as displays show it, from all events and reports so far."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mms_dist.monitor.history import TRAINING, Gain, History, LanguageHistory
from mms_dist.monitor.reports import LanguageRound, PlannedLanguage, RoundReport
from mms_dist.monitor.throughput import Throughput

LOSS_MEMORY = 0.9  # decay of the exponential average that displays show; TensorBoard has the loss of every step


@dataclass(slots=True)
class DisplayedLanguage:
    """One language: its last step and its history."""

    history: LanguageHistory
    last: LanguageRound | None = None
    loss: float | None = None  # averaged over the last steps

    def add_step(self, last: LanguageRound) -> None:
        """Add a step. A loss that is not finite is shown but left out of the average."""
        self.last = last
        self.history.step, self.history.steps = last.step, last.steps
        self.history.mark_active()
        if self.loss is None or not math.isfinite(self.loss) or not math.isfinite(last.loss):
            self.loss = last.loss
        else:
            self.loss = LOSS_MEMORY * self.loss + (1 - LOSS_MEMORY) * last.loss

    @property
    def remaining_steps(self) -> int:
        """Steps the language may still take: none if it is finished or quarantined."""
        done = self.history.state not in ("waiting", TRAINING)
        return 0 if done else max(0, self.history.steps - self.history.step)


@dataclass
class DisplayState:
    """The whole run. `languages` are in the order of the plan."""

    run_directory: str
    history: History
    clock: Callable[[], float] = time.monotonic
    throughput: Throughput = field(default_factory=Throughput)
    languages: dict[str, DisplayedLanguage] = field(default_factory=dict)
    active: list[str] = field(default_factory=list)  # in the order of the last round
    round: int = 0
    memory_bytes: int = 0

    @classmethod
    def of(
        cls,
        run_directory: str,
        languages: Sequence[PlannedLanguage],
        past: History | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> "DisplayState":
        """Return the state of these languages, with the history of earlier processes of the run."""
        history = past or History()
        run = cls(run_directory, history, clock, round=history.round)
        for plan in languages:
            run.languages[plan.language] = DisplayedLanguage(history.planned(plan))
        return run

    def __post_init__(self) -> None:
        self._started_seconds = self.clock()

    def add_event(self, event: dict[str, Any]) -> None:
        """Add an event."""
        self.history.apply(event)

    def add_round(self, report: RoundReport) -> None:
        """Add a round."""
        self.round, self.memory_bytes = report.round, report.memory_bytes
        self.active = [language.language for language in report.languages]
        for language in report.languages:
            self.languages[language.language].add_step(language)
        self.throughput.add(report, self.clock())

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since this process started."""
        return self.clock() - self._started_seconds

    @property
    def steps(self) -> int:
        """Steps of all languages together if none stops early."""
        return sum(line.history.step + line.remaining_steps for line in self.languages.values())

    @property
    def remaining_steps(self) -> int:
        """The part of `steps` not yet taken."""
        return sum(line.remaining_steps for line in self.languages.values())

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the run ends if no language stops early; None until there is an estimate."""
        return self.throughput.run_eta_seconds(self.remaining_steps)

    def eta_of(self, line: DisplayedLanguage) -> float | None:
        """Seconds until a language in training ends if it does not stop early; None if it is not training."""
        if line.history.state != TRAINING or line.last is None:
            return None
        return self.throughput.language_eta_seconds(line.remaining_steps)

    def count(self, state: str) -> int:
        """Number of languages in `state`."""
        return sum(line.history.state == state for line in self.languages.values())

    def gain(self) -> Gain | None:
        """Mean CER improvement over the languages."""
        return Gain.of(line.history for line in self.languages.values())
