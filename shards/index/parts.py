"""Finished shards of a build: each shard's index entry and rows of the sample table, saved until the build ends."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from shards.drops import Drops
from shards.flags.measures import MEASURES, Measures, columns_of
from shards.index.checks import SCORE_COLUMN
from shards.index.sample_table import LATER_COLUMNS, ShardInfo
from shards.schema import SAMPLE_RATE, frames_of, required_frames
from shards.tars.spans import Span, span_checksum
from shards.tars.survey import scan


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceFacts:
    """Facts about an utterance, except its position in the tar; `samples` at 16 kHz.

    `length_unknown`: the recording does not declare its length, so it may have been cut short. `part`: the source that
    it comes from, if the corpus was built from several. `source` and `tags` are those of the sample. `align_score`: how
    well the text fits the audio, by the model `align_model`.
    """

    key: str
    text: str
    samples: int
    measures: Measures
    speaker: str | None
    length_unknown: bool = False
    part: str | None = None
    align_score: float | None = None
    align_model: str | None = None
    source: str | None = None
    tags: Mapping[str, str] | None = None


@dataclass(slots=True, kw_only=True)
class ShardPart:
    """One finished shard: its index entry, its rows by column, its drops, and the character counts of its text.

    `length_unknown`: keys of utterances whose recordings do not declare their length.
    `sources`: utterances and samples from each source, if the corpus was built from several.
    `align_model`: the model of the utterances' scores.
    `consumed`: number of candidates of the split, kept or not, up to the end of this shard.
    """

    split: str
    info: ShardInfo
    rows: dict[str, list[Any]]
    characters: dict[str, int]
    consumed: int = 0
    drops: Drops = field(default_factory=Drops)
    length_unknown: list[str] = field(default_factory=list)
    sources: dict[str, tuple[int, int]] = field(default_factory=dict)
    align_model: str | None = None

    def select(self, kept: Sequence[int], texts: Sequence[str]) -> ShardPart:
        """Return this part with only the rows `kept`, whose texts are `texts`."""
        rows = {name: [values[row] for row in kept] for name, values in self.rows.items()}
        info = replace(self.info, samples=len(kept), seconds=_seconds(rows["samples"]))
        keys = set(rows["key"])
        unknown = [key for key in self.length_unknown if key in keys]
        return replace(self, rows=rows, info=info, characters=_count_characters(texts), length_unknown=unknown)

    def to_json(self) -> bytes:
        """Return everything as JSON, for `parse`."""
        content = {
            "split": self.split,
            "info": asdict(self.info),
            "rows": self.rows,
            "characters": self.characters,
            "consumed": self.consumed,
            "drops": self.drops.as_dict(),
            "length_unknown": self.length_unknown,
            "sources": self.sources,
            "align_model": self.align_model,
        }
        return json.dumps(content, ensure_ascii=False).encode()

    @property
    def is_complete(self) -> bool:
        """Whether it has all columns; an earlier version wrote fewer."""
        return {*LATER_COLUMNS, *MEASURES} <= self.rows.keys()

    @classmethod
    def parse(cls, text: bytes) -> ShardPart:
        """Read what `to_json` returned."""
        content = json.loads(text)
        return cls(
            split=content["split"],
            info=ShardInfo(**content["info"]),
            rows=content["rows"],
            characters=content["characters"],
            consumed=content["consumed"],
            drops=Drops(content["drops"]),
            length_unknown=content.get("length_unknown", []),
            sources={name: (count, samples) for name, (count, samples) in content.get("sources", {}).items()},
            align_model=content.get("align_model"),
        )


def describe_shard(path: Path, name: str, split: str, utterances: Sequence[UtteranceFacts]) -> ShardPart:
    """Describe a finished tar that holds these utterances in this order: its checksum, and the position of each."""
    spans = scan(path)
    assert [span.key for span in spans] == [utterance.key for utterance in utterances]
    descriptor = os.open(path, os.O_RDONLY)
    try:
        checksums = [span_checksum(descriptor, span) for span in spans]
    finally:
        os.close(descriptor)
    return shard_part(
        name,
        split,
        utterances,
        spans=spans,
        checksums=checksums,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
    )


def shard_part(
    name: str,
    split: str,
    utterances: Sequence[UtteranceFacts],
    *,
    spans: Sequence[Span],
    checksums: Sequence[int],
    bytes: int,
    sha256: str,
) -> ShardPart:
    """Describe a tar of length `bytes`, given the `spans` and CRC-32 `checksums` of its utterances."""
    samples = [utterance.samples for utterance in utterances]
    rows: dict[str, list[Any]] = {
        "key": [utterance.key for utterance in utterances],
        "offset": [span.offset for span in spans],
        "size": [span.size for span in spans],
        "crc32": list(checksums),
        "samples": samples,
        "frames": [frames_of(count) for count in samples],
        "label_length": [len(utterance.text) for utterance in utterances],
        "required_frames": [required_frames(utterance.text) for utterance in utterances],
        "speaker": [utterance.speaker for utterance in utterances],
        "source": [utterance.part or utterance.source for utterance in utterances],
        "tags": [tags_text(utterance.tags) for utterance in utterances],
        **columns_of([utterance.measures for utterance in utterances]),
    }
    scores = [utterance.align_score for utterance in utterances]
    if any(score is not None for score in scores):
        rows[SCORE_COLUMN] = scores
    info = ShardInfo(name=name, samples=len(utterances), seconds=_seconds(samples), bytes=bytes, sha256=sha256)
    return ShardPart(
        split=split,
        info=info,
        rows=rows,
        characters=_count_characters([utterance.text for utterance in utterances]),
        length_unknown=[utterance.key for utterance in utterances if utterance.length_unknown],
        sources=_by_source(utterances),
        align_model=next((utterance.align_model for utterance in utterances if utterance.align_model), None),
    )


def tags_text(tags: Mapping[str, str] | None) -> str | None:
    """Return the tags of a sample as the JSON that the sample table stores; None if there are none."""
    return json.dumps(dict(tags), ensure_ascii=False, sort_keys=True) if tags else None


def _by_source(utterances: Sequence[UtteranceFacts]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for utterance in utterances:
        if utterance.part is not None:
            count, samples = found.get(utterance.part, (0, 0))
            found[utterance.part] = count + 1, samples + utterance.samples
    return found


def _seconds(samples: Sequence[int]) -> float:
    return round(sum(samples) / SAMPLE_RATE, 3)


def _count_characters(texts: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(character for text in texts for character in text).items()))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it to disk, and rename it. Leaves no file if it fails."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """As `write_atomically`, for files that belong together: none is renamed before all are on disk."""
    staged = {path: path.with_name(f".{path.name}.partial") for path in files}
    try:
        for path, data in files.items():
            with open(staged[path], "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        for path, partial in staged.items():
            os.replace(partial, path)
    finally:
        for partial in staged.values():
            partial.unlink(missing_ok=True)
