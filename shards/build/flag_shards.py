"""Flag the utterances of shards that are there already: of earlier versions, with other thresholds, or once more."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shards import storage
from shards.build.local_output import LocalOutput
from shards.build.output_folder import folder_for, writing
from shards.errors import Problem, ShardsError, StorageError
from shards.flags.flagging import describe, flag_utterances, utterances_of
from shards.flags.language_models import MOST_CHARACTERS, LanguageModels
from shards.flags.measures import MEASURES, Measures, measure, measure_fields
from shards.flags.names import FLAGS_COLUMN, FlagOptions
from shards.index.language_index import LanguageIndex
from shards.index.shard_index import ShardIndex, indexed_languages
from shards.index.write_index import replace_table
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.schema import INDEX_NAME, TABLE_NAME
from shards.splits import SPLITS

_TASK_UTTERANCES = 64


def readable_languages(root: str) -> tuple[ShardIndex, dict[str, Problem]]:
    """Return the indexes of all languages under `root`, without those that cannot be read, and the problems of these.

    Raises:
        ShardsError: there are none, or `root` cannot be listed.
    """
    codes = indexed_languages(root)
    unreadable: dict[str, Problem] = {}
    for code in codes:
        with _noted(code, unreadable):
            ShardIndex.load(root, [code])
    return ShardIndex.load(root, [code for code in codes if code not in unreadable]), unreadable


def language_models(index: ShardIndex) -> tuple[LanguageModels, dict[str, Problem]]:
    """Count the trigrams of training texts of all languages, so many of each as are used.

    Returns:
        Models of the languages that can be read, and the problems of the others.
    """
    unreadable: dict[str, Problem] = {}
    reader = ShardReader(index)
    try:
        models = LanguageModels({code: _texts(reader, index.language(code), unreadable) for code in index.languages})
    finally:
        reader.close()
    models.leave_out(unreadable)
    return models, unreadable


def _texts(reader: ShardReader, index: LanguageIndex, unreadable: dict[str, Problem]) -> Iterator[str]:
    characters = 0
    with _noted(index.language, unreadable):
        for row in range(index.utterances("train")):
            if characters >= MOST_CHARACTERS:
                break
            text = reader.read_text(index.language, "train", row)
            characters += len(text)
            yield text
    index.forget()


@contextmanager
def _noted(code: str, unreadable: dict[str, Problem]) -> Iterator[None]:
    try:
        yield
    except ShardsError as error:
        unreadable[code] = error.problem


def flag_language(
    whole: ShardIndex,
    code: str,
    options: FlagOptions,
    models: LanguageModels,
    *,
    pool: WorkerPool,
    advance: Callable[[int], None] = lambda utterances: None,
    store: bool = True,
) -> dict[str, Any]:
    """Flag all utterances of a language, and return what its index says about that.

    Measures that are in its sample table are used; otherwise every utterance is decoded.

    Args:
        advance: called with the number of utterances that were read.
        store: replace the sample table and the index; if false, nothing is written.

    Raises:
        ShardsError: a shard cannot be read, or the folder cannot be written to.
    """
    import pyarrow
    import pyarrow.parquet

    folder = storage.local_path(storage.join(whole.root, code))
    if store and folder is not None and not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"the folder {folder} is not writable, so its sample table cannot be replaced",
            fix="make it writable, or only look with --dry-run",
        )
    index = whole.language(code)
    index.table("train")  # checked as a whole
    table = pyarrow.parquet.read_table(io.BytesIO(_read(index, TABLE_NAME)), use_threads=False)
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    measured: dict[str, list[Measures]] = {split: [] for split in SPLITS}
    is_measured = all(name in table.column_names for name in MEASURES)
    tasks = [
        (whole.root, code, split, start, min(start + _TASK_UTTERANCES, index.utterances(split)), is_measured)
        for split in SPLITS
        for start in range(0, index.utterances(split), _TASK_UTTERANCES)
    ]
    for task, results in zip(tasks, pool.in_order(_read_utterances, tasks), strict=True):
        for text, measures in results:
            texts[task[2]].append(text)
            if measures is not None:
                measured[task[2]].append(measures)
        advance(len(results))
    splits = table.column("split").to_pylist()
    if not is_measured:
        rows = {split: iter(found) for split, found in measured.items()}
        in_order = [next(rows[split]) for split in splits]
        for name, kind in measure_fields():
            table = _with_column(table, name, [getattr(each, name) for each in in_order], kind)
    wanted = ("key", "samples", *MEASURES, *(name for name in ("align_score",) if name in table.column_names))
    columns = {"split": splits} | {name: table.column(name).to_pylist() for name in wanted}
    lines = {split: iter(found) for split, found in texts.items()}
    rules = index.text_rules or {}
    scripts = ("Latin",) if rules.get("romanise") else ()
    found = utterances_of(code, columns, [next(lines[split]) for split in splits], scripts)
    flagged = flag_utterances(found, options, models)
    described = describe(found, flagged, options, [other for other in models.languages if other != code])
    if store:
        table = _with_column(table, FLAGS_COLUMN, flagged.names(), pyarrow.string())
        _store(index, folder, table, described)
    index.forget()
    return described


def _read_utterances(task: tuple[str, str, str, int, int, bool]) -> list[tuple[str, Measures | None]]:
    """Return the texts, and if needed the measures, of some rows of a split."""
    root, code, split, start, end, is_measured = task
    reader = ShardReader(ShardIndex.load(root, [code]))
    try:
        if is_measured:
            return [(reader.read_text(code, split, row), None) for row in range(start, end)]
        utterances = (reader.read(code, split, row) for row in range(start, end))
        return [(each.text, measure(each.audio)) for each in utterances]
    finally:
        reader.close()


def _store(index: LanguageIndex, folder: Path | None, table: Any, flags: dict[str, Any]) -> None:
    import pyarrow.parquet

    target = io.BytesIO()
    pyarrow.parquet.write_table(table, target, compression="zstd")
    content = dict(json.loads(_read(index, INDEX_NAME))) | {"flags": flags}
    if folder is None:
        replace_table(storage.join(index.root, index.language), target.getvalue(), content)
        return
    root = folder.parent
    with folder_for(root), writing(index.language, root), LocalOutput(index.language, root).exclusive():
        replace_table(folder, target.getvalue(), content)


def _with_column(table: Any, name: str, values: list[Any], kind: Any) -> Any:
    import pyarrow

    if name in table.column_names:
        table = table.drop_columns([name])
    return table.append_column(name, pyarrow.array(values, kind))


def _read(index: LanguageIndex, name: str) -> bytes:
    return storage.read_bytes(storage.join(index.root, index.language, name))
