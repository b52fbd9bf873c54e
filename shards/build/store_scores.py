"""Store how well transcripts fit their audio: in the samples and in the sample table."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from shards import storage
from shards.build.local_output import LocalOutput
from shards.build.output_folder import folder_for, writing
from shards.errors import DamagedSampleError, StorageError
from shards.flags.flagging import flag_entry
from shards.flags.names import FLAGS, FLAGS_COLUMN, FlagOptions, joined
from shards.flags.outliers import low_scores
from shards.index.checks import SCORE_COLUMN
from shards.index.language_index import LanguageIndex
from shards.index.parts import file_sha256, write_together
from shards.index.sample_table import ShardInfo
from shards.schema import INDEX_NAME, TABLE_NAME, VOCABULARY_NAME
from shards.splits import SPLITS
from shards.tars.sample import members_to_write
from shards.tars.spans import members_of, span_checksum
from shards.tars.survey import scan

Scores = Mapping[str, NDArray[np.float32]]
"""By split: the score of each utterance, in the order of its table."""


def check_storable(index: LanguageIndex) -> Path:
    """Return the folder of the shards, if scores can be stored there.

    Raises:
        StorageError: they are remote.
    """
    root = storage.local_path(index.root)
    if root is None:
        raise StorageError(
            f"{index.root} is remote, and scores can only be stored in shards on this machine",
            fix="check a local copy, and copy it back",
        )
    return Path(root)


def store_scores(index: LanguageIndex, scores: Scores, model: str) -> None:
    """Store the scores of all utterances of a language.

    Tars that `shards build` wrote are written anew, with the scores in their samples; they take the place of the old
    ones at once. Tars made elsewhere stay as they are.

    Raises:
        ShardsError: the shards are damaged, remote, being built, or cannot be written.
    """
    root = check_storable(index)
    with folder_for(root), writing(index.language, root):
        output = LocalOutput(index.language, root)
        with output.exclusive():
            content = json.loads(json.dumps(index.content)) | {"align_model": model}
            if index.reading:
                files = _described(index, content, _table(index, scores, {}, content))
                write_together({root / index.language / name: data for name, data in files.items()})
            else:
                output.begin({"scores": model})
                columns = _rewrite(index, scores, model, output, content)
                files = _described(index, content, _table(index, scores, columns, content))
                files = {VOCABULARY_NAME: output.read(VOCABULARY_NAME), **files}
                tars = [shard.name for split in SPLITS for shard in index.shards(split)]
                output.publish(tars, files, output.record() or {})


def _rewrite(
    index: LanguageIndex, scores: Scores, model: str, output: LocalOutput, content: dict[str, Any]
) -> dict[str, NDArray[np.int64]]:
    """Write all tars anew; return the new offsets, sizes and checksums, in the order of the sample table."""
    columns: dict[str, list[int]] = {"offset": [], "size": [], "crc32": []}
    for split in SPLITS:
        entry = content["splits"][split]
        for number, shard in enumerate(index.shards(split)):
            path = output.folder / shard.name
            with open(path, "wb") as stream:
                _write_tar(stream, index, split, number, shard, scores[split], model)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                for span in scan(path):
                    columns["offset"].append(span.offset)
                    columns["size"].append(span.size)
                    columns["crc32"].append(span_checksum(descriptor, span))
            finally:
                os.close(descriptor)
            entry["shards"][number] |= {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        entry["bytes"] = sum(shard["bytes"] for shard in entry["shards"])
    return {name: np.array(values, np.int64) for name, values in columns.items()}


def _write_tar(
    stream: IO[bytes],
    index: LanguageIndex,
    split: str,
    number: int,
    shard: ShardInfo,
    score_N: NDArray[np.float32],
    model: str,
) -> None:
    from webdataset import TarWriter

    writer = TarWriter(stream, user="", group="", mode=0o644, mtime=0, encoder=False, compress=False)
    table = index.table(split)
    with open(Path(index.shard_url(shard)), "rb") as tar:
        for row in np.flatnonzero(table.shard == number).tolist():
            tar.seek(int(table.offset[row]))
            span = tar.read(int(table.size[row]))
            key = str(table.keys[row])
            if zlib.crc32(span) != table.crc32[row]:
                found = "its bytes are not those that were indexed (CRC-32 differs)"
                raise DamagedSampleError(index.language, key, shard.name, found, row, fix=index.fix)
            members = members_of(span)
            info = json.loads(bytes(members["json"])) | {SCORE_COLUMN: _rounded(score_N[row]), "align_model": model}
            writer.write(members_to_write(key, bytes(members["flac"]), info))
    writer.close()
    stream.flush()
    os.fsync(stream.fileno())


def _flags_with_scores(table: Any, scores: Sequence[float], flags: dict[str, Any]) -> list[str]:
    """Return the column of flags with those of these scores, and count them in what the index says about flags."""
    flag = "unusual_align_score"
    splits, keys = table.column("split").to_pylist(), table.column("key").to_pylist()
    score_N = np.array(scores, np.float64)
    low_N = low_scores(score_N, splits, FlagOptions(flags["thresholds"]))
    flags["found"].pop(flag, None)
    if low_N.any():
        samples_N = np.array(table.column("samples").to_pylist(), np.int64)
        entry = flag_entry(low_N, splits, samples_N, keys, lambda row: f"score {score_N[row]:.2f}")
        flags["found"] = {name: each for name in FLAGS if (each := (flags["found"] | {flag: entry}).get(name))}
    others = (set(names.split(",")) - {flag} for names in table.column(FLAGS_COLUMN).to_pylist())
    return [joined(each | {flag} if low else each) for each, low in zip(others, low_N.tolist(), strict=True)]


def _table(
    index: LanguageIndex, scores: Scores, columns: Mapping[str, NDArray[np.int64]], content: dict[str, Any]
) -> bytes:
    """Return the sample table with the scores, and with these columns in place of its own.

    What the index `content` says about flags is changed accordingly.
    """
    import pyarrow
    import pyarrow.parquet

    path = Path(storage.join(index.root, index.language, TABLE_NAME))
    table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(path.read_bytes())).read(use_threads=False)
    for name, values in columns.items():
        place = table.column_names.index(name)
        kind = table.schema.field(name).type
        table = table.set_column(place, name, pyarrow.array(values.tolist(), kind))
    if SCORE_COLUMN in table.column_names:
        table = table.drop_columns([SCORE_COLUMN])
    left = {split: iter(values.tolist()) for split, values in scores.items()}
    ordered = [_rounded(next(left[split])) for split in table.column("split").to_pylist()]
    table = table.append_column(SCORE_COLUMN, pyarrow.array(ordered, pyarrow.float32()))
    if FLAGS_COLUMN in table.column_names:
        names = _flags_with_scores(table, ordered, content["flags"])
        place = table.column_names.index(FLAGS_COLUMN)
        table = table.set_column(place, FLAGS_COLUMN, pyarrow.array(names, pyarrow.string()))
    target = io.BytesIO()
    pyarrow.parquet.write_table(table, target, compression="zstd")
    return target.getvalue()


def _described(index: LanguageIndex, content: dict[str, Any], table: bytes) -> dict[str, bytes]:
    """Return the table and the index that describes it; the index last."""
    content["files"][TABLE_NAME] = {"bytes": len(table), "sha256": hashlib.sha256(table).hexdigest()}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    return {TABLE_NAME: table, INDEX_NAME: text.encode()}


def _rounded(score: float) -> float:
    return round(float(score), 4)
