"""Make and write the three files that describe a language's shards."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shards import remote, storage
from shards.drops import Drops
from shards.flags.measures import measure_fields, table_values
from shards.flags.names import FLAGS_COLUMN
from shards.index.checks import SCORE_COLUMN
from shards.index.parts import ShardPart, write_together
from shards.index.sample_table import LATER_COLUMNS
from shards.schema import INDEX_NAME, SAMPLE_RATE, SCHEMA_VERSION, TABLE_NAME, VOCABULARY_NAME
from shards.splits import SPLITS
from shards.vocabulary_choice import ALL_CHARACTERS, VocabularyOptions, choose_vocabulary

_EXAMPLES = 3


def index_files(
    language: str,
    parts: Sequence[ShardPart],
    drops: Drops,
    *,
    build: dict[str, Any],
    flags: dict[str, Any],
    reading: dict[str, Any] | None = None,
    vocabulary: VocabularyOptions = ALL_CHARACTERS,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the content of `index.json`, and the three files: `index.json`, which describes the others, is the last.

    Args:
        parts: the shards, in order within each split.
        build: how the shards were made: fingerprint and options.
        flags: what was found in the utterances (`flag_parts`).
        reading: how to read foreign tars (`SampleParser.of`).
        vocabulary: how it is chosen.

    Raises:
        ShardsError: the given vocabulary does not fit.
    """
    characters = {split: _characters(parts, split) for split in SPLITS}
    chosen, outside = choose_vocabulary(language, characters["train"], vocabulary)
    files = {TABLE_NAME: _table_bytes(parts), VOCABULARY_NAME: chosen.to_json().encode()}
    unknown = {
        split: {
            character: count
            for character, count in found.items()
            if character not in characters["train"] and character not in chosen.tokens
        }
        for split, found in characters.items()
    }
    speakers = {name for part in parts for name in part.rows["speaker"] if name}
    index: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "language": language,
        "sample_rate": SAMPLE_RATE,
        "splits": {split: _split_entry([part for part in parts if part.split == split]) for split in SPLITS},
        "files": {name: file_entry(data) for name, data in files.items()},
        "vocabulary": len(chosen),
        "characters_not_in_train": {split: found for split, found in unknown.items() if found},
        "speakers": len(speakers),
        "drops": drops.as_dict(),
        "flags": flags,
        "build": build,
    }
    unknown_lengths = [key for part in parts for key in part.length_unknown]
    if unknown_lengths:
        index["length_unknown"] = {"count": len(unknown_lengths), "examples": unknown_lengths[:_EXAMPLES]}
    if outside:
        index["outside_vocabulary"] = outside
    align_model = next((part.align_model for part in parts if part.align_model), None)
    if align_model:
        index["align_model"] = align_model
    sources = _sources(parts)
    if sources:
        index["sources"] = sources
    if reading:
        index["reading"] = reading
    text = json.dumps(index, ensure_ascii=False, indent=1) + "\n"
    return index, files | {INDEX_NAME: text.encode()}


def write_files(folder: Path | str, files: Mapping[str, bytes]) -> None:
    """Write what `index_files` returned to a folder, or to a URL.

    Raises:
        OSError: they cannot be written to the folder.
        StorageError: they cannot be written to the URL.
    """
    if isinstance(folder, Path):
        write_together({folder / name: data for name, data in files.items()})
        return
    # There, files cannot be replaced together: without an index, there is nothing to read in between.
    remote.remove([storage.join(folder, INDEX_NAME)])
    for name, data in files.items():
        remote.write_bytes(storage.join(folder, name), data)


def replace_table(folder: Path | str, table: bytes, content: Mapping[str, Any]) -> None:
    """Replace the sample table of a language that is complete, and its index by one with this content.

    The table has the rows of the one before; only columns are new. So both indexes fit it, but for its hash: at a URL,
    where files cannot be replaced together, the index stays until the new one is there, and the language is never
    missing.

    Raises:
        OSError: they cannot be written to the folder.
        StorageError: they cannot be written to the URL.
    """
    entries = dict(content.get("files", {})) | {TABLE_NAME: file_entry(table)}
    text = json.dumps(dict(content) | {"files": entries}, ensure_ascii=False, indent=1) + "\n"
    files = {TABLE_NAME: table, INDEX_NAME: text.encode()}
    if isinstance(folder, Path):
        write_files(folder, files)
        return
    for name, data in files.items():
        remote.write_bytes(storage.join(folder, name), data)


def _characters(parts: Sequence[ShardPart], split: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        if part.split == split:
            total.update(part.characters)
    return dict(sorted(total.items()))


def _split_entry(parts: Sequence[ShardPart]) -> dict[str, Any]:
    return {
        "samples": sum(part.info.samples for part in parts),
        "seconds": round(sum(part.info.seconds for part in parts), 3),
        "bytes": sum(part.info.bytes for part in parts),
        "shards": [
            {
                "name": part.info.name,
                "samples": part.info.samples,
                "seconds": part.info.seconds,
                "bytes": part.info.bytes,
                "sha256": part.info.sha256,
            }
            for part in parts
        ],
    }


def _sources(parts: Sequence[ShardPart]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the utterances and seconds from each source, by split; empty if there is only one source."""
    total: dict[str, dict[str, tuple[int, int]]] = {}
    for part in parts:
        for name, (count, samples) in part.sources.items():
            before = total.setdefault(name, {}).get(part.split, (0, 0))
            total[name][part.split] = before[0] + count, before[1] + samples
    return {
        name: {
            split: {"samples": splits[split][0], "seconds": round(splits[split][1] / SAMPLE_RATE, 3)}
            for split in SPLITS
            if split in splits
        }
        for name, splits in sorted(total.items())
    }


def file_entry(data: bytes) -> dict[str, Any]:
    """Return what the index says about a file beside it."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _table_bytes(parts: Sequence[ShardPart]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [
            ("key", pyarrow.string()),
            ("split", pyarrow.string()),
            ("shard", pyarrow.int32()),
            ("offset", pyarrow.int64()),
            ("size", pyarrow.int64()),
            ("crc32", pyarrow.uint32()),
            ("samples", pyarrow.int32()),
            ("frames", pyarrow.int32()),
            ("label_length", pyarrow.int32()),
            ("required_frames", pyarrow.int32()),
            ("speaker", pyarrow.string()),
            *((name, pyarrow.string()) for name in (*LATER_COLUMNS, FLAGS_COLUMN)),
            *measure_fields(),
        ]
    )
    if scored := any(SCORE_COLUMN in part.rows for part in parts):
        schema = schema.append(pyarrow.field(SCORE_COLUMN, pyarrow.float32()))
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    numbers: Counter[str] = Counter()
    for part in sorted(parts, key=lambda part: SPLITS.index(part.split)):
        for name, values in part.rows.items():
            columns[name].extend(table_values(name, values))
        columns["split"].extend([part.split] * part.info.samples)
        columns["shard"].extend([numbers[part.split]] * part.info.samples)
        if scored and SCORE_COLUMN not in part.rows:
            columns[SCORE_COLUMN].extend([None] * part.info.samples)
        numbers[part.split] += 1
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), target, compression="zstd")
    return target.getvalue()
