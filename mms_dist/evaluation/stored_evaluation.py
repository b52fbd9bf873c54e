"""What `mms-dist eval` stores in a run: the scores and transcripts of all languages on a whole split.

RUN/eval/SPLIT.json
    languages.LANG                 the fields of `Scores`, and `step`, `checkpoint`, `untrained`
    languages.LANG.decoder         `name`, and for beam search `language_model`, its weights `alpha` and `beta`,
                                   `beam_width`, `tuned` and `note`; greedy decoding without this entry
    languages.LANG.greedy          `Scores` of greedy decoding; only where another decoder gave the scores above
    languages.LANG.conditions      condition, such as `noise:10` or `tag:numbers`, to `Scores`, its `change` from clean
                                   audio (`Change`) and perhaps `greedy`; only where conditions were scored
    conditions                     condition to the means over languages, and their `change`
    noise                          what the noise of conditions is
    languages.LANG.by              `speaker`, `duration`, `source`, `tag` to the names of groups of utterances, and
                                   these to `Scores` and `seconds`; only those that the shards tell
    languages.LANG.confusions      `characters` and `words`: the most frequent edits, with `count`
    languages.LANG.scoring         `case`, `punctuation` and `spaces`, each `counted` or `ignored`, and `transcripts`:
                                   the case (`lower`, `kept`) and punctuation (`dropped`, `kept`) that they have
    comparisons                    other models on the same utterances (`stored_comparison`); only with --compare
    failed                         languages that could not be scored, each with the reason
RUN/eval/SPLIT.tsv
    language, key, reference, hypothesis, row, and perhaps greedy: one line per utterance, without quoting; `row` is
    the utterance's row in its split

Other entries and columns are ignored, so later versions may add some.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mms_dist.errors import DataError
from mms_dist.evaluation.condition_scoring import condition_json, conditions_json
from mms_dist.evaluation.metrics import Edits, Scores
from mms_dist.evaluation.paired import Change
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules, scoring_text
from mms_dist.evaluation.stored_comparison import StoredComparison
from mms_dist.evaluation.table import evaluation_json
from mms_dist.evaluation.text_edits import Confusions
from mms_dist.evaluation.utterance_groups import Groups, GroupScores
from mms_dist.files import read_file
from mms_dist.run_directory.paths import RunPaths

if TYPE_CHECKING:
    from mms_dist.evaluation.score_run import LanguageResult
    from mms_dist.evaluation.search_scoring import Searched

SPLITS = ("test", "dev", "train")
"""In the order of preference."""
GREEDY = "greedy"
_EDITS = ("character_edits", "word_edits")
_FIELDS = tuple(each.name for each in fields(Scores) if each.name not in _EDITS)
_COLUMNS = ("language", "key", "reference", "hypothesis", "row")


@dataclass(frozen=True, kw_only=True)
class StoredLanguage:
    """The scores of one language. `greedy` is None if `scores` are those of greedy decoding; `confusions` is None if
    they were stored before there were any."""

    scores: Scores
    step: int
    checkpoint: str
    untrained: bool
    decoder: str = GREEDY
    language_model: str | None = None
    greedy: Scores | None = None
    conditions: Mapping[str, Scores] = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    confusions: Confusions | None = None
    rules: ScoringRules = AS_WRITTEN
    written: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredUtterance:
    """The transcripts of one utterance. `row` is its row in the split; `greedy` is None without a second decoding."""

    key: str
    reference: str
    hypothesis: str
    row: int
    greedy: str | None = None


@dataclass(frozen=True)
class StoredEvaluation:
    """One split.

    Attributes:
        utterances: empty if the transcripts were not stored.
        changes: the mean change under each condition.
    """

    split: str
    written: datetime
    languages: Mapping[str, StoredLanguage]
    failed: Mapping[str, str]
    utterances: Mapping[str, list[StoredUtterance]]
    comparisons: Sequence[StoredComparison] = ()
    changes: Mapping[str, Change] = field(default_factory=dict)

    @property
    def decoding(self) -> str:
        """How the languages were decoded, for people."""
        names = {each.decoder.replace("_", " ") for each in self.languages.values()}
        with_model = sum(each.language_model is not None for each in self.languages.values())
        if not with_model:
            model = ""
        elif with_model == len(self.languages):
            model = " with a language model"
        else:
            model = f", {with_model:,} of {len(self.languages):,} languages with a language model"
        return f"{' or '.join(sorted(names)) or GREEDY} decoding{model}"

    @property
    def scoring(self) -> str:
        """What counts as an error, for people."""
        rules = {code: each.rules for code, each in self.languages.items()}
        return scoring_text(rules, {code: each.written for code, each in self.languages.items()})

    @property
    def mean_cer(self) -> float | None:
        """Unweighted mean over the languages."""
        rates = [each.scores.cer for each in self.languages.values()]
        return sum(rates) / len(rates) if rates else None


def scores_json(results: "Sequence[LanguageResult]", decoder_of: Callable[[str], str]) -> dict[str, Any]:
    """Return the entries `languages` and `mean` of SPLIT.json; `decoder_of` returns the decoder of a language."""
    greedy = {result.language: result.searched.greedy_scores for result in results if result.searched}
    values = evaluation_json({result.language: result.scores for result in results}, greedy)
    for result in results:
        values["languages"][result.language] |= {
            "step": result.step,
            "checkpoint": result.checkpoint,
            "untrained": result.step == 0,
            "decoder": {"name": decoder_of(result.language)} | _search(result.searched),
            "scoring": result.rules.as_dict() | {"transcripts": dict(result.written)},
            "by": _groups_json(result.groups),
            "confusions": asdict(result.confusions),
            "quarantined": None if result.quarantined is None else asdict(result.quarantined),
            "unreadable": [
                {"key": sample.key, "row": sample.id.row, "shard": sample.shard, "reason": sample.reason}
                for sample in result.transcription.damaged
            ],
        }
        if result.conditions:
            own = {label: condition_json(each) for label, each in result.conditions.items()}
            values["languages"][result.language]["conditions"] = own
    means = conditions_json([result.conditions for result in results])
    return values | ({"conditions": means} if means else {})


def _groups_json(groups: Groups) -> dict[str, Any]:
    return {
        kind: {name: each.scores.as_dict() | {"seconds": round(each.seconds, 3)} for name, each in own.items()}
        for kind, own in groups.items()
    }


def _search(searched: "Searched | None") -> dict[str, Any]:
    """Describe a beam search."""
    if searched is None:
        return {}
    settings = searched.settings
    return {
        "language_model": settings.language_model and str(settings.language_model),
        "alpha": settings.alpha,
        "beta": settings.beta,
        "beam_width": settings.beam.width,
        "tuned": searched.tuned and asdict(searched.tuned),
        "note": searched.note,
    }


def transcripts_tsv(results: "Sequence[LanguageResult]") -> str:
    """Return the content of SPLIT.tsv. The column of greedy decoding is empty for languages decoded by it alone."""
    some_searched = any(result.searched for result in results)
    lines = ["\t".join([*_COLUMNS, *([GREEDY] if some_searched else [])])]
    for result in results:
        said = result.transcription
        greedy = result.searched.greedy.hypotheses if result.searched else [""] * len(said.keys)
        rows = zip(said.keys, said.references, said.hypotheses, map(str, said.rows), greedy, strict=True)
        for row in rows:
            # Member names in tars from other tools can contain anything.
            cells = [" ".join(cell.splitlines()).replace("\t", " ") for cell in row]
            lines.append("\t".join((result.language, *cells[: len(row) if some_searched else -1])))
    return "\n".join(lines) + "\n"


def read_evaluation(run_directory: Path) -> StoredEvaluation | None:
    """Read the evaluation of the test split, else of dev, else of train; None if there is none.

    Raises:
        DataError: a file has unexpected content.
    """
    found = (read_split(run_directory, split) for split in SPLITS)
    return next((evaluation for evaluation in found if evaluation is not None), None)


def read_split(run_directory: Path, split: str) -> StoredEvaluation | None:
    """Read the evaluation of a split; None if there is none.

    Raises:
        DataError: a file has unexpected content.
    """
    path = RunPaths(run_directory).evaluations / f"{split}.json"
    if not path.is_file():
        return None
    transcripts = path.with_suffix(".tsv")
    try:
        values = json.loads(read_file(path))
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        languages = {code: _language(entry) for code, entry in values["languages"].items()}
        searched = {code for code, language in languages.items() if language.greedy is not None}
        return StoredEvaluation(
            split=split,
            written=written,
            languages=languages,
            failed={code: str(reason) for code, reason in values.get("failed", {}).items()},
            utterances=_utterances(transcripts, searched) if transcripts.is_file() else {},
            comparisons=[StoredComparison.from_dict(each) for each in values.get("comparisons", ())],
            changes={name: Change.from_dict(each["change"]) for name, each in values.get("conditions", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} does not have the scores of a split, or {transcripts.name} not its transcripts ({error})",
            fix=f"run mms-dist eval {path.parent.parent} --split {split} again, or remove these files",
        ) from error


def _language(entry: dict[str, Any]) -> StoredLanguage:
    decoder = entry.get("decoder", {})
    return StoredLanguage(
        scores=_scores(entry),
        step=int(entry["step"]),
        checkpoint=str(entry["checkpoint"]),
        untrained=bool(entry.get("untrained", False)),
        decoder=str(decoder.get("name", GREEDY)),
        language_model=decoder.get("language_model"),
        greedy=_scores(entry["greedy"]) if entry.get("greedy") else None,
        conditions={name: _scores(each) for name, each in entry.get("conditions", {}).items()},
        groups={kind: _groups(own) for kind, own in entry.get("by", {}).items()},
        confusions=Confusions.from_dict(entry["confusions"]) if entry.get("confusions") else None,
        rules=ScoringRules.from_dict(entry.get("scoring", {})),
        written=dict(entry.get("scoring", {}).get("transcripts", {})),
    )


def _groups(entries: dict[str, Any]) -> dict[str, GroupScores]:
    return {name: GroupScores(_scores(entry), float(entry["seconds"])) for name, entry in entries.items()}


def _scores(entry: dict[str, Any]) -> Scores:
    values: dict[str, Any] = {name: entry[name] for name in _FIELDS}
    if not all(isinstance(value, int | float) and math.isfinite(value) and value >= 0 for value in values.values()):
        raise ValueError(f"found {values}, expected numbers")
    for name in _EDITS:
        values[name] = Edits(**{each.name: int(entry[name][each.name]) for each in fields(Edits)})
    return Scores(**values)


def _utterances(path: Path, searched: Collection[str]) -> dict[str, list[StoredUtterance]]:
    """Read the transcripts; `searched` are the languages for which the column of greedy decoding has a meaning."""
    lines = read_file(path).decode("utf-8").split("\n")  # other line separators are part of a text
    found: dict[str, list[StoredUtterance]] = defaultdict(list)
    for line in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        language, key, reference, hypothesis, row = (line[name] for name in _COLUMNS)
        greedy = line.get("greedy") if language in searched else None
        found[language].append(StoredUtterance(key, reference, hypothesis, int(row), greedy))
    return dict(found)
