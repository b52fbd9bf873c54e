"""The contents of a report, without any layout.

Error rates are fractions (0.25, not 25). Durations are in seconds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from mms_dist.evaluation.failing_groups import (
    ComparedGroup,
    Grouped,
    GroupRow,
    compared_groups,
    group_rows,
    standing_out,
)
from mms_dist.evaluation.metrics import FAIR_CER, GOOD_CER, Scores
from mms_dist.evaluation.paired import Change
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.evaluation.stored_comparison import StoredComparison
from mms_dist.evaluation.text_edits import Confusions
from mms_dist.evaluation.utterance_groups import GROUPED_BY, Groups
from mms_dist.monitor.event_lines import REASONS
from mms_dist.monitor.history import FINISHED, QUARANTINED, LanguageHistory
from mms_dist.monitor.metrics_log import RunMetrics
from mms_dist.monitor.run_status import RunStatus
from mms_dist.report.text_alignment import AlignedText

MOST_GROUPS = 6
"""Groups of utterances that are shown of a language."""
MOST_ROWS = 10
"""Groups of one kind that are shown of all languages."""


class Grade(StrEnum):
    """How well a language is read, by its CER."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNKNOWN = "not scored"

    @classmethod
    def of(cls, cer: float | None) -> "Grade":
        """Good up to 10 %, fair up to 25 %."""
        if cer is None or cer != cer:
            return cls.UNKNOWN
        return cls.GOOD if cer <= GOOD_CER else cls.FAIR if cer <= FAIR_CER else cls.POOR


@dataclass(frozen=True, slots=True)
class LanguageFinding:
    """Something that explains a language's error rate, or that someone should look at.

    `kind` is the same for all languages with this finding, and reads as the heading of a list of languages.
    """

    kind: str
    text: str
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """A statement about a run, the languages it is about (none if about all), and how many more there are."""

    text: str
    languages: Sequence[str] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Audio:
    """A compressed recording."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownUtterance:
    """An utterance with its transcripts. `cer` is that of the utterance; `choice` says why it is shown."""

    key: str
    choice: str
    reference: str
    hypothesis: str
    segments: Sequence[AlignedText]
    cer: float
    row: int
    greedy: str | None = None
    audio: Audio | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """Utterances left out of the shards for one reason."""

    reason: str
    meaning: str
    fix: str
    count: int
    examples: Sequence[str]
    languages: int = 1


@dataclass(frozen=True, slots=True)
class LanguageData:
    """What the shards of a language hold. Splits map to seconds of audio and to numbers of utterances."""

    seconds: Mapping[str, float]
    utterances: Mapping[str, int]
    speakers: int
    characters: int
    dropped: Sequence[Dropped]
    characters_not_in_train: Mapping[str, Mapping[str, int]]

    @property
    def dropped_count(self) -> int:
        return sum(each.count for each in self.dropped)


@dataclass(frozen=True, slots=True)
class DataReport:
    """The shards of a run. `problem` says why there is nothing to show."""

    shards: str
    languages: Mapping[str, LanguageData]
    dropped: Sequence[Dropped]
    flagged: Sequence[Dropped] = ()
    """Utterances that may be wrong, by flag; `fix` says whether the run leaves them out."""
    problem: str | None = None
    balanced: Sequence[str] = ()
    """A line for each language whose speakers, sources or accents the run balances."""


@dataclass(frozen=True, kw_only=True)
class LanguageReport:
    """All that is known of one language. `data` is None if its shards cannot be read; `scored_step` is the step of the
    checkpoint that `scores` are of."""

    history: LanguageHistory
    scores: Scores | None
    scored_step: int | None
    greedy: Scores | None
    conditions: Mapping[str, Scores]
    data: LanguageData | None
    confusions: Confusions
    groups: Groups
    settings: Mapping[str, Any]
    decoding: str = "greedy"
    """How `cer` was decoded, for people: with what decoder, and whether with a language model."""
    rules: ScoringRules | None = None
    """What counts as an error in `scores`."""
    utterances: Sequence[ShownUtterance] = ()
    findings: Sequence[LanguageFinding] = ()

    @property
    def language(self) -> str:
        return self.history.language

    @property
    def worst_groups(self) -> Sequence[ComparedGroup]:
        """The groups of utterances with most errors beyond the language's rate."""
        found = compared_groups(self.language, Grouped(self.scores, self.groups)) if self.scores else []
        return [each for each in found if each.change > 0][:MOST_GROUPS]

    @property
    def dev_cer(self) -> float | None:
        """CER of the best checkpoint on dev."""
        return self.history.best.cer if self.history.best else None

    @property
    def dev_wer(self) -> float | None:
        return self.history.best.wer if self.history.best else None

    @property
    def cer(self) -> float | None:
        """CER on the scored split; on dev if it was not scored."""
        return self.scores.cer if self.scores else self.dev_cer

    @property
    def wer(self) -> float | None:
        return self.scores.wer if self.scores else self.dev_wer

    @property
    def grade(self) -> Grade:
        return Grade.of(self.cer)

    @property
    def train_seconds(self) -> float | None:
        """Training audio: of the training's own plan, else of the shards."""
        return self.history.audio_seconds or (self.data.seconds.get("train") if self.data else None) or None

    @property
    def sort_cer(self) -> tuple[float, str]:
        """Orders languages by CER, those without one last."""
        cer = self.cer
        return (cer if cer is not None and cer == cer else math.inf, self.language)

    @property
    def state_text(self) -> str:
        """`all steps`, `early stop`, `training`, …"""
        history = self.history
        return REASONS.get(history.reason, history.state) if history.state == FINISHED else history.state

    @property
    def is_quarantined(self) -> bool:
        return self.history.state == QUARANTINED


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of the run's wall-clock time."""

    name: str
    seconds: float
    meaning: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, over all starts of the run. `seconds` is the time from the first to the last round."""

    seconds: float
    parts: Sequence[TimePart]
    audio_seconds: float
    rounds: int
    peak_memory_gib: float
    series: Sequence[tuple[float, RunMetrics]]
    """Seconds of training so far, with the metrics at that time; evenly thinned."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the configuration, by its dotted name."""

    name: str
    value: Any
    default: Any

    @property
    def changed(self) -> bool:
        return bool(self.value != self.default)


@dataclass(frozen=True)
class ScoredSplit:
    """Which evaluation the scores are from."""

    split: str
    written: datetime
    decoding: str
    scoring: str
    failed: Mapping[str, str]
    has_transcripts: bool
    comparisons: Sequence[StoredComparison] = ()
    changes: Mapping[str, Change] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run at one point in time, languages sorted by code. `timing` is None before the first round."""

    directory: Path
    made: datetime
    status: RunStatus
    languages: Sequence[LanguageReport]
    scored: ScoredSplit | None
    data: DataReport
    timing: Timing | None
    settings: Sequence[Setting]
    settings_problem: str | None
    base: str | None
    hardware: str | None
    versions: Mapping[str, str]
    audio_problem: str | None = None
    audio_budget_bytes: int = 0
    summary: Sequence[SummaryLine] = ()
    explanations: Sequence[SummaryLine] = ()

    @property
    def name(self) -> str:
        """The last two folders of the path, because many runs are called `run`."""
        return "/".join(self.directory.absolute().parts[-2:])

    @property
    def split(self) -> str:
        """The split that `cer` is of."""
        return self.scored.split if self.scored else "dev"

    @cached_property
    def scored_languages(self) -> Sequence[LanguageReport]:
        """The languages that have a CER, best first."""
        known = [each for each in self.languages if each.grade is not Grade.UNKNOWN]
        return sorted(known, key=lambda each: (each.cer or 0.0, each.language))

    @property
    def mean_cer(self) -> float | None:
        """Unweighted mean over the languages that have one."""
        return _mean([each.cer for each in self.scored_languages])

    @property
    def mean_wer(self) -> float | None:
        return _mean([each.wer for each in self.scored_languages])

    @property
    def mean_greedy(self) -> tuple[float | None, float | None]:
        """Mean CER and WER of greedy decoding over the languages scored with a language model."""
        scores = [each.greedy for each in self.with_greedy if each.greedy]
        return _mean([each.cer for each in scores]), _mean([each.wer for each in scores])

    @property
    def training_decoder(self) -> str:
        """How training decodes dev, for people: `greedy`, `beam search`."""
        values = [each.value for each in self.settings if each.name == "evaluation.decoder"]
        return str(values[0]).replace("_", " ") if values else "greedy"

    @property
    def with_greedy(self) -> Sequence[LanguageReport]:
        """The languages scored with a language model, which have scores of greedy decoding too."""
        return [each for each in self.scored_languages if each.greedy is not None]

    @property
    def standing_out(self) -> Sequence[ComparedGroup]:
        """The groups of utterances that are clearly worse than their languages, those with most errors first."""
        return standing_out(self._grouped)[:MOST_ROWS]

    @property
    def failing(self) -> Mapping[str, Sequence[GroupRow]]:
        """The groups of each kind that some language has several of."""
        found = {kind: group_rows(self._grouped, kind)[:MOST_ROWS] for kind in GROUPED_BY}
        return {kind: rows for kind, rows in found.items() if rows}

    @property
    def _grouped(self) -> Mapping[str, Grouped]:
        return {each.language: Grouped(each.scores, each.groups) for each in self.languages if each.scores}

    @property
    def with_conditions(self) -> Sequence[LanguageReport]:
        return [each for each in self.scored_languages if each.conditions]

    @property
    def train_seconds(self) -> float:
        return sum(each.train_seconds or 0.0 for each in self.languages)

    @property
    def audio_bytes(self) -> int:
        """Compressed audio in the report."""
        return sum(len(each.audio.content) for item in self.languages for each in item.utterances if each.audio)

    @property
    def audio_count(self) -> int:
        return sum(each.audio is not None for item in self.languages for each in item.utterances)

    @property
    def utterance_count(self) -> int:
        return sum(len(each.utterances) for each in self.languages)

    def count(self, grade: str) -> int:
        return sum(each.grade == grade for each in self.languages)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and value == value]
    return sum(known) / len(known) if known else None
