"""The history of a run, built from its events: every language's learning curve and state."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mms_dist.monitor.events import as_float
from mms_dist.monitor.reports import PlannedLanguage

WAITING, TRAINING, FINISHED, QUARANTINED = "waiting", "training", "finished", "quarantined"
STATES = (TRAINING, WAITING, FINISHED, QUARANTINED)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One evaluation on the dev split."""

    step: int
    cer: float
    wer: float
    utterances: int
    best: bool  # the lowest CER so far, as training decided: the `best` checkpoint is from this step


@dataclass(slots=True, kw_only=True)
class LanguageHistory:
    """The state and history of one language."""

    language: str
    state: str = WAITING
    reason: str = ""  # why it finished or was quarantined
    step: int = 0
    steps: int = 0
    utterances: int = 0
    audio_seconds: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)  # steps strictly increasing
    checkpoint_step: int | None = None
    checkpoint_time: datetime | None = None
    damaged: set[tuple[str, ...]] = field(default_factory=set)  # positions of damaged samples

    @property
    def damaged_samples(self) -> int:
        """Number of utterances that could not be read, each counted once."""
        return len(self.damaged)

    @property
    def initial(self) -> CurvePoint | None:
        """The evaluation before training, if there was one."""
        return self.curve[0] if self.curve and self.curve[0].step == 0 else None

    @property
    def latest(self) -> CurvePoint | None:
        """The last evaluation."""
        return self.curve[-1] if self.curve else None

    @property
    def best(self) -> CurvePoint | None:
        """The evaluation that the `best` checkpoint is from."""
        return next((point for point in reversed(self.curve) if point.best), None)

    def mark_active(self) -> None:
        """Note that the language was evaluated, saved or stepped. If it was waiting, it has a slot again."""
        if self.state == WAITING:
            self.state = TRAINING

    def forget_after(self, step: int) -> None:
        """Drop evaluations after `step`: the language resumes from there."""
        while self.curve and self.curve[-1].step > step:
            self.curve.pop()


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean CER before training and mean best CER, over the languages that were scored both before and after."""

    before: float
    best: float
    languages: int

    @classmethod
    def of(cls, languages: Iterable[LanguageHistory]) -> "Gain | None":
        """Return the gain of these languages; None if no language was scored twice."""
        pairs = [
            (language.initial.cer, language.best.cer)
            for language in languages
            if language.initial and language.best and len(language.curve) > 1
        ]
        if not pairs:
            return None
        before, best = zip(*pairs, strict=True)
        return cls(sum(before) / len(pairs), sum(best) / len(pairs), len(pairs))


class History:
    """All languages of a run. Feed it events, oldest first."""

    def __init__(self, events: Iterable[dict[str, Any]] = ()) -> None:
        self.languages: dict[str, LanguageHistory] = {}
        self.started: datetime | None = None
        self.last: datetime | None = None
        self.ended = ""  # "finished", "incomplete", "preempted" or "failed"; empty while the run continues
        self.round = 0
        self.versions: dict[str, str] = {}  # of the software of the last start, by name
        for event in events:
            self.apply(event)

    def planned(self, plan: PlannedLanguage) -> LanguageHistory:
        """Return the history of a planned language. The plan's data and steps replace those of earlier events."""
        language = self._language(plan.language)
        language.steps, language.utterances = plan.steps, plan.utterances
        language.audio_seconds = plan.seconds
        return language

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event. Kinds and fields that do not affect a language's state are ignored."""
        kind, code = event["kind"], event.get("language")
        self.last = datetime.fromisoformat(event["time"])
        self.round = int(event.get("round", self.round))
        if kind in ("run_started", "run_resumed"):
            self._start(event)
        elif kind in ("run_finished", "run_incomplete", "run_failed", "preempted"):
            self.ended = kind.removeprefix("run_")
        elif code is not None:
            self._apply_to(self._language(code), kind, event)

    def _start(self, event: dict[str, Any]) -> None:
        self.started = self.started or self.last
        self.ended = ""
        versions = event.get("versions")
        self.versions = {str(name): str(each) for name, each in versions.items()} if isinstance(versions, dict) else {}
        for code in event.get("languages", ()):
            self._language(code)
        for language in self.languages.values():  # a language that held a slot is admitted again, or waits
            if language.state == TRAINING:
                language.state = WAITING

    def _apply_to(self, language: LanguageHistory, kind: str, event: dict[str, Any]) -> None:
        step = int(event.get("step", language.step))
        if kind == "admitted":
            language.state, language.reason, language.step = TRAINING, "", step
            language.steps = int(event.get("steps", language.steps))
            language.utterances = int(event.get("utterances", language.utterances))
            language.audio_seconds = float(event.get("audio_seconds", language.audio_seconds))
            language.forget_after(step)
        elif kind == "reopened":
            language.state, language.reason = WAITING, ""
            language.steps = int(event.get("steps", language.steps))
        elif kind == "evaluated":
            language.mark_active()
            language.forget_after(step - 1)
            rates = as_float(event.get("cer", math.nan)), as_float(event.get("wer", math.nan))
            point = CurvePoint(step, *rates, int(event.get("utterances", 0)), bool(event.get("best", False)))
            language.curve.append(point)
            language.step = max(language.step, step)
        elif kind == "checkpoint_saved":
            language.mark_active()
            language.checkpoint_step, language.checkpoint_time = step, self.last
            language.step = max(language.step, step)
        elif kind in ("finished", "quarantined"):
            language.state = FINISHED if kind == "finished" else QUARANTINED
            language.reason, language.step = str(event.get("reason", "")), step
        elif kind == "damaged_sample":
            # Logs of earlier versions have no row. Shard and key stand in for it until the same utterance is reported
            # again. (For dev, those logs have the split in place of the shard.)
            split, row, shard, key = (str(event.get(name)) for name in ("split", "row", "shard", "key"))
            if "row" in event:
                language.damaged -= {(shard, key), (split, key)}
                language.damaged.add((language.language, split, row))
            else:
                language.damaged.add((shard, key))

    def _language(self, code: str) -> LanguageHistory:
        return self.languages.setdefault(code, LanguageHistory(language=code))
