"""What `shards inspect` shows of a language beyond its index: hours of speakers, sources and tags, and its splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.errors import MissingColumnError, Problem
from shards.index.groups import SOURCE, group_names, numbered
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex
from shards.near_texts import NearTexts, near_texts
from shards.read import ShardReader
from shards.split_checks import split_problems
from shards.splits import SPLITS

UNKNOWN = ""
SCORE_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75)
MOST_VALUES = 100
"""Tags with more values than this are not groups but notes on single utterances."""


@dataclass(frozen=True, slots=True)
class GroupHours:
    """A speaker, source or value of a tag, and its audio. `name` is "" for utterances of unknown group."""

    name: str
    seconds: float
    utterances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageFacts:
    """A language's training audio by group, most first, and what was found about its splits.

    `durations` and the known alignment `scores` are of all splits; `align_model` is the model of the scores. `sources`
    and `tags` are None if the sample table was written by an earlier version; `problem` says what helps. `flags` is
    what the index says about flags; None if they were never looked for.
    """

    language: str
    seconds: float
    durations: NDArray[np.float64]
    scores: NDArray[np.float64]
    align_model: str | None
    speakers: list[GroupHours]
    sources: list[GroupHours] | None
    tags: dict[str, list[GroupHours]] | None
    problem: Problem | None
    flags: Mapping[str, Any] | None
    split_problems: list[Problem]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        del values["durations"], values["problem"]
        scores = {
            "model": self.align_model,
            "utterances": len(self.scores),
            "quantiles": {str(level): round(value, 4) for level, value in self.score_quantiles().items()},
        }
        return values | {"seconds": round(self.seconds, 3), "scores": scores if len(self.scores) else None}

    def score_quantiles(self) -> dict[float, float]:
        """Return the quantiles of the scores by level; empty without scores."""
        if not len(self.scores):
            return {}
        return dict(zip(SCORE_LEVELS, np.quantile(self.scores, SCORE_LEVELS).tolist(), strict=True))


def facts_of(index: LanguageIndex) -> LanguageFacts:
    """Collect the facts of a language from its index.

    Raises:
        IndexFileError: the sample table cannot be read.
    """
    table = index.table("train")
    scores = np.concatenate([index.table(split).align_score for split in SPLITS]).astype(np.float64)
    sources: list[GroupHours] | None = None
    tags: dict[str, list[GroupHours]] | None = None
    problem = None
    try:
        sources = _hours(group_names(index, "train", SOURCE), table.durations)
        names = Counter(
            name for text in index.later_column("train", "tags").tolist() if text for name in json.loads(text)
        )
        found = {name: _hours(group_names(index, "train", f"tag:{name}"), table.durations) for name in sorted(names)}
        tags = {name: groups for name, groups in found.items() if len(groups) <= MOST_VALUES}
    except MissingColumnError as error:
        problem = error.problem
    facts = LanguageFacts(
        language=index.language,
        seconds=float(table.durations.sum()),
        durations=np.concatenate([index.table(split).durations for split in SPLITS]),
        scores=scores[~np.isnan(scores)],
        align_model=index.content.get("align_model"),
        speakers=_hours(table.speaker, table.durations),
        sources=sources,
        tags=tags,
        problem=problem,
        flags=index.content.get("flags"),
        split_problems=split_problems(index),
    )
    index.forget()  # the tables of very many languages are large
    return facts


def leaks_of(
    index: ShardIndex, code: str, advance: Callable[[], None] = lambda: None
) -> dict[str, tuple[int, list[NearTexts]]]:
    """Read all transcripts of a language, and return what dev and test share with train, by held-out split.

    Returns:
        Number of sentences that are in train too, and those that are nearly in it.

    Raises:
        ShardsError: a shard cannot be read.
    """
    language, reader = index.language(code), ShardReader(index)
    texts: dict[str, list[str]] = {}
    try:
        for split in SPLITS:
            texts[split] = []
            for row in range(language.utterances(split)):
                texts[split].append(reader.read_text(code, split, row))
                advance()
    finally:
        reader.close()
    train = set(texts["train"])
    return {
        split: (len(train & set(texts[split])), list(near_texts(texts[split], texts["train"])))
        for split in SPLITS
        if split != "train" and texts[split]
    }


def _hours(names_N: NDArray[Any], seconds_N: NDArray[np.float64]) -> list[GroupHours]:
    names, number_N = numbered(names_N)
    seconds, counts = np.bincount(number_N, weights=seconds_N), np.bincount(number_N)
    groups = zip(names, seconds.tolist(), counts.tolist(), strict=True)
    return sorted((GroupHours(*group) for group in groups), key=lambda group: (-group.seconds, group.name))
