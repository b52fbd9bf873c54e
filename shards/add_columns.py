"""Add the columns that the sample tables of earlier versions lack, from the JSON of the samples."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shards import storage
from shards.errors import StorageError
from shards.index.language_index import LanguageIndex
from shards.index.parts import tags_text
from shards.index.sample_table import LATER_COLUMNS
from shards.index.shard_index import ShardIndex
from shards.index.write_index import replace_table
from shards.read import ShardReader
from shards.schema import INDEX_NAME, TABLE_NAME
from shards.splits import SPLITS
from shards.tars.members import name_in, tags_in


def lacking_columns(root: str, code: str) -> list[str]:
    """Return the columns that a language's sample table lacks; none if there is no table that can be read."""
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(io.BytesIO(_read(root, code, TABLE_NAME))).names
    except (pyarrow.ArrowException, FileNotFoundError, StorageError):
        return []  # `shards verify` and `--force` are for damaged tables
    return [name for name in LATER_COLUMNS if name not in names]


def add_columns(root: str, code: str, advance: Callable[[], None] = lambda: None) -> None:
    """Add the columns to a language's table. Reads the JSON of every sample, and decodes no audio.

    Args:
        root: folder or URL of the shards.
        advance: called after each utterance.

    Raises:
        ShardsError: a shard cannot be read, or the folder cannot be written to.
    """
    import pyarrow
    import pyarrow.parquet

    path = storage.local_path(storage.join(root, code))
    if path is not None and not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(
            f"the folder {path} is not writable, so its sample table cannot be replaced", fix="make it writable"
        )
    whole = ShardIndex.load(root, [code])
    index = whole.language(code)
    found = _read_columns(whole, index, advance)
    table = pyarrow.parquet.read_table(io.BytesIO(_read(root, code, TABLE_NAME)), use_threads=False)
    rows = {split: iter(range(index.utterances(split))) for split in SPLITS}
    order = [(split, next(rows[split])) for split in table.column("split").to_pylist()]
    for name in LATER_COLUMNS:
        if name not in table.column_names:
            values = [found[split][name][row] for split, row in order]
            table = table.append_column(name, pyarrow.array(values, pyarrow.string()))
    target = io.BytesIO()
    pyarrow.parquet.write_table(table, target, compression="zstd")
    content = json.loads(_read(root, code, INDEX_NAME))
    with storage.local_errors(path or Path()):
        folder = storage.join(root, code) if path is None else path
        replace_table(folder, target.getvalue(), content)


def _read(root: str, code: str, name: str) -> bytes:
    return storage.read_bytes(storage.join(root, code, name))


def _read_columns(
    whole: ShardIndex, index: LanguageIndex, advance: Callable[[], None]
) -> dict[str, dict[str, list[Any]]]:
    """Return the values of the columns by split, in the order of the rows."""
    entries = index.content.get("sources", {})
    found: dict[str, dict[str, list[Any]]] = {split: {name: [] for name in LATER_COLUMNS} for split in SPLITS}
    reader = ShardReader(whole)
    try:
        for split in index.splits:
            for row in range(index.utterances(split)):
                info = reader.info(index.language, split, row)
                source = name_in(info, "source")
                entry = next((name for name in entries if source and source.startswith(f"{name}/")), None)
                found[split]["source"].append(entry or source)
                found[split]["tags"].append(tags_text(tags_in(info)))
                advance()
    finally:
        reader.close()
    return found
