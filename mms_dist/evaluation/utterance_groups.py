"""Groups of utterances that may fail together: of one speaker, duration, source or tag."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mms_dist.evaluation.metrics import Measured, Scores
from shards.index import LanguageIndex
from shards.read import ShardReader

GROUPED_BY = ("speaker", "duration", "source", "tag")
BANDS = {2.0: "under 2 s", 5.0: "2-5 s", 10.0: "5-10 s", 20.0: "10-20 s", float("inf"): "20 s and more"}
"""Of durations, by their upper end."""
PRESENT_ONLY = ("numbers", "mixed_script")
"""Tags whose value describes the utterance alone, so that it makes no group."""
FEW_VALUES = 5
"""A tag with more values than that, hardly any of which two utterances share, makes one group."""
MOST_GROUPS = 30
"""Groups of one kind that are kept of a language: those with most of its text. `OTHERS` has the rest."""
OTHERS, UNNAMED = "(others)", "(none)"
_LINE = re.compile(r":\d+$")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the shards say of an utterance; empty texts where they say nothing."""

    seconds: float
    speaker: str = ""
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroupScores:
    """The error rates of a group, and how much audio it has."""

    scores: Scores
    seconds: float


Groups = Mapping[str, Mapping[str, GroupScores]]
"""By attribute, one of `GROUPED_BY`, and name."""


def read_attributes(reader: ShardReader, index: LanguageIndex, split: str, rows: Sequence[int]) -> list[Attributes]:
    """Read what the shards say of some utterances, given by their rows in the split.

    Raises:
        ShardsError: a shard cannot be read.
    """
    table = index.table(split)
    infos = [reader.info(index.language, split, row) for row in rows]
    sources = corpora([_text(info.get("source")) for info in infos], index.content.get("sources", {}))
    return [
        Attributes(
            seconds=float(table.durations[row]),
            speaker=str(table.speaker[row]) or _text(info.get("speaker")),
            source=source,
            tags=_tags(info.get("tags")),
        )
        for row, info, source in zip(rows, infos, sources, strict=True)
    ]


def corpora(sources: Sequence[str], named: Collection[str]) -> list[str]:
    """Return the corpus or folder that each of the sources belongs to.

    A source may name a corpus, or a recording in it. Names that hardly any two utterances share are of recordings, so
    their last parts are cut off.

    Args:
        named: corpora whose names begin a source, as those of a list of sources do.
    """
    names = [
        source.partition("/")[0] if source.partition("/")[0] in named else _LINE.sub("", source) for source in sources
    ]
    while 2 * len(set(names)) > max(2, len(names)):
        cut = [name if name in named else name.rpartition("/")[0] for name in names]
        if cut == names:
            break
        names = cut
    return names


def group_scores(measured: Measured, attributes: Sequence[Attributes]) -> Groups:
    """Score the groups of each kind. A kind is left out if no utterance has it.

    Args:
        attributes: of the utterances that were measured, in the same order.
    """
    seconds_N = np.array([each.seconds for each in attributes])
    found = {}
    for kind in GROUPED_BY:
        places = places_by(kind, attributes)
        if set(places) - {UNNAMED}:
            chosen = _largest(places, measured)
            found[kind] = {
                name: GroupScores(measured.of(own).scores(), float(seconds_N[own].sum()))
                for name, own in chosen.items()
            }
    return found


def places_by(kind: str, attributes: Sequence[Attributes]) -> dict[str, NDArray[np.int64]]:
    """Return the places of the utterances of each group of a kind, one of `GROUPED_BY`, by its name."""
    places: dict[str, list[int]] = {}
    for place, each in enumerate(_NAMES[kind](attributes)):
        for name in each:
            places.setdefault(name, []).append(place)
    return {name: np.array(own) for name, own in places.items()}


def _largest(places: dict[str, NDArray[np.int64]], measured: Measured) -> dict[str, NDArray[np.int64]]:
    """Put what is beyond `MOST_GROUPS` together."""
    if len(places) <= MOST_GROUPS:
        return places
    text = {name: int(measured.characters.length_N[own].sum()) for name, own in places.items()}
    ordered = sorted(places, key=lambda name: (-text[name], name))
    kept = {name: places[name] for name in ordered[: MOST_GROUPS - 1]}
    return kept | {OTHERS: np.unique(np.concatenate([places[name] for name in ordered[MOST_GROUPS - 1 :]]))}


def _speakers(attributes: Sequence[Attributes]) -> Iterable[list[str]]:
    return ([each.speaker or UNNAMED] for each in attributes)


def _sources(attributes: Sequence[Attributes]) -> Iterable[list[str]]:
    return ([each.source or UNNAMED] for each in attributes)


def _bands(attributes: Sequence[Attributes]) -> Iterable[list[str]]:
    return ([next(name for end, name in BANDS.items() if each.seconds < end)] for each in attributes)


def _tag_names(attributes: Sequence[Attributes]) -> Iterable[list[str]]:
    """Name each tag with its value, or alone if its value tells too few utterances together to make groups."""
    values = Counter(name for each in attributes for name in each.tags)
    distinct = Counter(name for name, _ in {item for each in attributes for item in each.tags.items()})
    alone = {
        name
        for name, count in values.items()
        if name in PRESENT_ONLY or (distinct[name] > FEW_VALUES and 2 * distinct[name] > count)
    }
    return (
        [name if name in alone else f"{name}={value}" for name, value in each.tags.items()] or [UNNAMED]
        for each in attributes
    )


_NAMES: Mapping[str, Callable[[Sequence[Attributes]], Iterable[list[str]]]] = {
    "speaker": _speakers,
    "duration": _bands,
    "source": _sources,
    "tag": _tag_names,
}


def _text(value: Any) -> str:
    """Return a text of a sample's JSON. Other tools may have written anything."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        str(name): " ".join(str(each).split()) for name, each in value.items() if isinstance(each, str | int | float)
    }
