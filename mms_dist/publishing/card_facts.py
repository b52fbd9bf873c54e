"""Collect what a model card says of a run: scores, data and settings, from the files of the run and its shards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mms_dist.config import Config
from mms_dist.evaluation.scoring_rules import IGNORED
from mms_dist.evaluation.stored_evaluation import StoredLanguage, read_split
from mms_dist.language_names import language_name, language_tag
from mms_dist.publishing.exported_language import ExportedLanguage
from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.language_table import language_table
from shards.splits import SPLITS

_ISO_639_1_LETTERS = 2
_RANDOM_STARTS = ("mms", "xavier", "kaiming", "identity")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Rate:
    """An error rate as a fraction, with its 95 % confidence interval if that is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SplitScores:
    """Scores of exactly the exported weights on a split, by greedy decoding; `utterances` is None if not known.

    `with_model`: the CER with a language model, which is not part of the export; None without one. `ignored`: what was
    not counted as an error, of `case`, `punctuation` and `spaces`.
    """

    cer: Rate
    wer: Rate
    utterances: int | None = None
    with_model: Rate | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class LanguageFacts:
    """One exported language. `seconds` and `utterances` are by split, empty if the shards cannot be read."""

    exported: ExportedLanguage
    name: str
    hub_code: str | None
    bcp47: str | None
    scores: dict[str, SplitScores]
    seconds: dict[str, float] = field(default_factory=dict)
    utterances: dict[str, int] = field(default_factory=dict)
    speakers: int | None = None

    @property
    def code(self) -> str:
        """The training code, such as `ron` or `srp-script_latin`."""
        return self.exported.language


@dataclass(frozen=True)
class CardFacts:
    """Everything that a card says which is not in its template. `settings` are names and values for a table."""

    languages: tuple[LanguageFacts, ...]
    base: str
    licence: str | None
    dim: int
    dataset: str
    settings: tuple[tuple[str, str], ...]

    @property
    def base_on_hub(self) -> str | None:
        """The base's name on the Hub, if it is one."""
        return self.base if _HUB_NAME.fullmatch(self.base) else None


def gather_facts(
    run_directory: Path,
    config: Config | None,
    exported: Sequence[ExportedLanguage],
    *,
    base: str,
    licence: str | None,
    dim: int,
    dataset: str | None = None,
) -> CardFacts:
    """Collect the facts about these languages.

    Args:
        config: None leaves out what it says of data and settings.
        dataset: name of the corpus, such as its name on the Hub; None: the name of the folder of shards.

    Raises:
        DataError: a stored evaluation of the run has unexpected content.
    """
    stored = {split: read_split(run_directory, split) for split in ("dev", "test")}
    languages = []
    for item in exported:
        scores = {}
        if item.cer is not None and item.wer is not None:
            scores["dev"] = SplitScores(Rate(item.cer), Rate(item.wer))
        for split, evaluation in stored.items():
            own = evaluation.languages.get(item.language) if evaluation else None
            if own is not None and own.step == item.step:
                scores[split] = _split_scores(own)
        languages.append(_with_data(config.data.shards if config else None, item, scores))
    name = dataset or (config.data.shards.rstrip("/").rpartition("/")[2] if config else "unknown")
    return CardFacts(tuple(languages), base, licence, dim, name, _settings(config, exported) if config else ())


def _split_scores(own: StoredLanguage) -> SplitScores:
    scores, with_model = own.greedy or own.scores, own.scores if own.language_model else None
    return SplitScores(
        Rate(scores.cer, scores.cer_low, scores.cer_high),
        Rate(scores.wer, scores.wer_low, scores.wer_high),
        scores.utterances,
        Rate(with_model.cer, with_model.cer_low, with_model.cer_high) if with_model else None,
        tuple(name for name, value in own.rules.as_dict().items() if value == IGNORED),
    )


def _with_data(shards: str | None, item: ExportedLanguage, scores: dict[str, SplitScores]) -> LanguageFacts:
    code = item.language
    facts = LanguageFacts(item, language_name(code), hub_language(code), bcp47_tag(code), scores)
    try:
        index = ShardIndex.load(shards, [code]).language(code) if shards else None
    except ShardsError:
        index = None
    if index is None:
        return facts
    return replace(
        facts,
        seconds={split: index.seconds(split) for split in SPLITS},
        utterances={split: index.utterances(split) for split in SPLITS},
        speakers=index.content["speakers"],
    )


def hub_language(code: str) -> str | None:
    """Return a language as the Hub's cards name it: ISO 639-1 where there is such a code, else ISO 639-3.

    None if the code is not one of ISO 639-3, as those for local use; the Hub refuses a card with such a language.
    """
    base = code.partition("-")[0]
    if base not in language_table().by_code:
        return None
    return next((tag for one in (code, base) if len(tag := language_tag(one)) == _ISO_639_1_LETTERS), base)


def bcp47_tag(code: str) -> str | None:
    """Return the BCP 47 tag with its script, `sr-Latn`, for a code that names a script; else None."""
    known, base = language_table().by_code.get(code), hub_language(code)
    return f"{base}-{known.script}" if "-script_" in code and known and known.script and base else None


def _settings(config: Config, exported: Sequence[ExportedLanguage]) -> tuple[tuple[str, str], ...]:
    """Describe the settings; one that differs between languages is given as its range."""
    own = [config.for_language(item.language) for item in exported]

    def shared(values: Sequence[float]) -> str:
        low, high = min(values), max(values)
        return f"{low:,g}" if low == high else f"{low:,g} to {high:,g}"

    # A path would tell of this machine.
    started = sorted({start if (start := each.adapter.init) in _RANDOM_STARTS else "earlier adapters" for each in own})
    return (
        ("start of the adapters", " or ".join(started)),
        ("adapter dimension", shared([each.adapter.dim for each in own])),
        ("optimizer", "AdamW, one for each language"),
        ("highest learning rate", shared([each.optim.lr for each in own])),
        ("warm-up steps, steps at most", f"{shared([each.optim.warmup_steps for each in own])}, "
                                         f"{shared([each.optim.steps for each in own])}"),
        ("audio in a batch", f"{shared([each.optim.batch_seconds for each in own])} s of one language"),
        ("weight decay, clipping", f"{shared([each.optim.weight_decay for each in own])}, "
                                   f"{shared([each.optim.clip_norm for each in own])}"),
        ("time masking (probability, frames)", f"{shared([each.augment.time_prob for each in own])}, "
                                               f"{shared([each.augment.time_length for each in own])}"),
        ("seed", str(config.run.seed)),
    )  # fmt: skip
