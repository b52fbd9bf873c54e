"""Statistics of shards, from the index alone: `mms-dist shards inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from shards.display.tables import TextColumn, fitting_table, histogram, rounded_duration
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex
from shards.splits import SPLITS

_BINS = 16


def durations_of(index: LanguageIndex) -> NDArray[np.float64]:
    """Return the duration in seconds of every utterance of a language, in all splits."""
    return np.concatenate([index.table(split).durations for split in SPLITS])


def summary_table(index: ShardIndex, width: int) -> Table:
    """Table with a row per language: utterances, hours, durations, vocabulary, speakers, shards, left out."""
    columns = [
        TextColumn("language", right=False),
        *(TextColumn(name) for name in ("train", "dev", "test", "audio")),
        TextColumn("median s", rank=4),
        TextColumn("longest s", rank=6),
        TextColumn("chars/s", rank=7),
        TextColumn("characters", rank=1),
        TextColumn("speakers", rank=3),
        TextColumn("shards", rank=5),
        TextColumn("size", rank=2),
        TextColumn("left out"),
    ]
    rows = []
    for code in index.languages:
        language = index.language(code)
        seconds = durations_of(language)
        labels = sum(int(language.table(split).label_length.sum()) for split in SPLITS)
        shards = [shard for split in SPLITS for shard in language.shards(split)]
        drops = sum(entry["count"] for entry in language.content["drops"].values())
        rows.append(
            (
                code,
                *(f"{language.utterances(split):,}" for split in SPLITS),
                rounded_duration(float(seconds.sum())),
                f"{np.median(seconds):.1f}" if len(seconds) else "–",
                f"{seconds.max():.1f}" if len(seconds) else "–",
                f"{labels / seconds.sum():.1f}" if len(seconds) else "–",
                f"{len(language.vocabulary) - 5}",
                f"{language.content['speakers']:,}" if language.content["speakers"] else "–",
                f"{len(shards):,}",
                f"{sum(shard.bytes for shard in shards) / 2**20:,.1f} MiB",
                f"{drops:,}",
            )
        )
        language.forget()
    return fitting_table(f"Shards in {index.root}", columns, rows, width)


def duration_histogram(seconds: NDArray[np.float64]) -> list[str]:
    """Return the lines of a bar chart of utterance durations, in round steps of seconds."""
    longest = float(seconds.max(initial=0.0))
    step = next(step for step in (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, float("inf")) if longest < step * _BINS)
    counts = np.bincount((seconds / step).astype(np.int64))
    labels = [f"{number * step:g} – {(number + 1) * step:g} s" for number in range(len(counts))]
    return histogram([int(count) for count in counts], labels)


def vocabulary_lines(index: ShardIndex, languages: Sequence[str]) -> list[str]:
    """List the characters of each language, and those of its dev and test text that its training text lacks."""
    lines = []
    for code in languages:
        language = index.language(code)
        lines.append(f"{code}: {' '.join(language.vocabulary.tokens[5:])}")
        for split, found in language.content.get("characters_not_in_train", {}).items():
            shown = " ".join(f"{character} ({count})" for character, count in found.items())
            lines.append(f"{code}: in {split} but not in train, so encoded as <unk>: {shown}")
    return lines
