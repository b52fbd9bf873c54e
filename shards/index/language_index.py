"""The index of one language."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards import storage
from shards.errors import IndexFileError, MissingColumnError, ShardsError, StorageError
from shards.file_content import detect_placeholder_in
from shards.flags.measures import MEASURES
from shards.flags.names import FLAGS_COLUMN
from shards.index.checks import INTEGER_COLUMNS, check_columns, check_rows
from shards.index.sample_table import LATER_COLUMNS, STRING, SampleTable, ShardInfo, _of_split, _table
from shards.schema import INDEX_NAME, TABLE_NAME, VOCABULARY_NAME
from shards.splits import SPLITS
from shards.vocabulary import Vocabulary

_READ_WHEN_ASKED_FOR = (*LATER_COLUMNS, FLAGS_COLUMN, *MEASURES)


class LanguageIndex:
    """The index of one language. The sample table and vocabulary are loaded at first use."""

    def __init__(self, language: str, root: str, content: dict[str, Any]) -> None:
        self.language = language
        self.root = root
        self.content: dict[str, Any] = {"drops": {}, "speakers": 0} | content
        self._shards = {
            split: tuple(_shard_info(shard) for shard in entry["shards"]) for split, entry in content["splits"].items()
        }
        self._tables: dict[str, SampleTable] = {}
        self._vocabulary: Vocabulary | None = None
        self._lock = threading.Lock()

    @property
    def fix(self) -> str:
        """How to fix files that do not match the index."""
        made = self.content.get("build")
        return _rebuild_advice(self.root, self.language, indexed=isinstance(made, dict) and bool(made.get("indexed")))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold utterances."""
        return tuple(split for split in SPLITS if self._shards.get(split))

    @property
    def reading(self) -> dict[str, Any]:
        """How to find the text in foreign tars (`SampleParser.of`); empty for our own shards."""
        return dict(self.content.get("reading", {}))

    @property
    def text_rules(self) -> dict[str, Any] | None:
        """The text rules that the transcripts were normalised by; None if they were not, or if it is not known."""
        if self.reading:
            return self.reading["text_rules"] if self.reading["normalise"] else None
        rules: dict[str, Any] | None = self.content.get("build", {}).get("options", {}).get("text_rules")
        return rules

    @property
    def split_by(self) -> str | None:
        """What the build split the utterances by, if that lets a sentence be in two splits; else None."""
        options = self.content.get("build", {}).get("options", {})
        return options.get("split_by") if isinstance(options, dict) else None

    def shards(self, split: str) -> tuple[ShardInfo, ...]:
        """Return the tars of a split, in order; none if the split is empty."""
        _check_split(split)
        return self._shards.get(split, ())

    def shard_url(self, shard: ShardInfo) -> str:
        """Return the path or URL of a tar."""
        return storage.join(self.root, self.language, shard.name)

    def seconds(self, split: str) -> float:
        """Return the seconds of audio in a split."""
        return sum(shard.seconds for shard in self.shards(split))

    def utterances(self, split: str) -> int:
        """Return the number of utterances in a split."""
        return sum(shard.samples for shard in self.shards(split))

    def forget(self) -> None:
        """Free the memory of the sample tables. They are loaded again at next use."""
        with self._lock:
            self._tables = {}

    def table(self, split: str) -> SampleTable:
        """Return the utterances of a split; an empty table if it has none.

        Raises:
            IndexFileError: the table cannot be read, or does not match the index.
        """
        _check_split(split)
        with self._lock:
            if not self._tables:
                self._tables = self._load_tables()
            return self._tables[split]

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters of the language's training text."""
        with self._lock:
            if self._vocabulary is None:
                url = storage.join(self.root, self.language, VOCABULARY_NAME)
                try:
                    vocabulary = Vocabulary.parse(self._read(url), name=url)
                except IndexFileError:
                    raise
                except StorageError as error:
                    raise IndexFileError(error.found, fix=self.fix) from error
                except ShardsError as error:
                    fix = f"{error.fix}, or {self.fix}" if error.fix else self.fix
                    raise IndexFileError(f"{url} cannot be read: {error.found}", fix=fix) from error
                if vocabulary.language != self.language:
                    raise IndexFileError(
                        f"{url} is for {vocabulary.language!r}, expected {self.language!r}", fix=self.fix
                    )
                outside = self.content.get("outside_vocabulary", {})
                stand_ins = {character: entry["as"] for character, entry in outside.items()}
                self._vocabulary = replace(vocabulary, outside=stand_ins) if stand_ins else vocabulary
            return self._vocabulary

    def _read(self, url: str) -> bytes:
        try:
            return storage.read_bytes(url)
        except FileNotFoundError as error:
            raise IndexFileError(f"{url} is missing", fix=self.fix) from error

    def later_column(self, split: str, name: str) -> NDArray[Any]:
        """Return one of `LATER_COLUMNS`, or the flags, of a split in the order of `table`; "" where there is nothing.

        Raises:
            MissingColumnError: the table was written by an earlier version and lacks the column.
            IndexFileError: the table cannot be read.
        """
        import pyarrow.parquet

        _check_split(split)
        url = storage.join(self.root, self.language, TABLE_NAME)
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(self._read(url)))
            if name not in file.schema_arrow.names:
                command = "flag" if name == FLAGS_COLUMN else "index"
                raise MissingColumnError(
                    f"{self.language}: its sample table has no column {name!r}",
                    fix=f"add it with 'mms-dist shards {command} {self.root} --lang {self.language}'",
                )
            of_split = _of_split(file.read(columns=["split", name], use_threads=False), split)
            found = np.array([value or "" for value in of_split.column(name).to_pylist()], dtype=STRING)
        except (pyarrow.ArrowException, TypeError, ValueError, OSError) as error:
            raise IndexFileError(
                f"column {name} of sample table {url} cannot be read ({' '.join(str(error).split())})", fix=self.fix
            ) from error
        if len(found) != self.utterances(split):
            raise IndexFileError(
                f"sample table {url} has {len(found)} {split} utterances, but {INDEX_NAME} says "
                f"{self.utterances(split)}",
                fix=self.fix,
            )
        return found

    def _load_tables(self) -> dict[str, SampleTable]:
        import pyarrow.parquet

        url = storage.join(self.root, self.language, TABLE_NAME)
        content = self._read(url)
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
            names = [name for name in file.schema_arrow.names if name not in _READ_WHEN_ASKED_FOR]
            # Arrow's worker threads can outlive the interpreter, and then a short command ends with SIGABRT.
            whole = file.read(columns=names, use_threads=False)
            check_columns(whole)
            tables = {split: _table(_of_split(whole, split)) for split in SPLITS}
        # pyarrow raises OSError for damage outside the footer, although all bytes are in memory by now.
        except (pyarrow.ArrowException, KeyError, ValueError, OSError, MemoryError, OverflowError) as error:
            instead = detect_placeholder_in(content, storage.join(self.root, self.language))
            # Some of pyarrow's messages have several lines.
            reason = f"it {instead.found}" if instead else " ".join(str(error).split())
            fix = f"{instead.fix}; otherwise {self.fix}" if instead else self.fix
            raise IndexFileError(f"sample table {url} cannot be read ({reason})", fix=fix) from error
        for split, table in tables.items():
            if len(table) != self.utterances(split):
                raise IndexFileError(
                    f"sample table {url} has {len(table)} {split} utterances, but {INDEX_NAME} says "
                    f"{self.utterances(split)}",
                    fix=self.fix,
                )
        if sum(map(len, tables.values())) != whole.num_rows:
            raise IndexFileError(f"sample table {url} has rows of splits other than {', '.join(SPLITS)}", fix=self.fix)
        for split, table in tables.items():
            columns = {name: getattr(table, name) for name in INTEGER_COLUMNS}
            try:
                check_rows(columns, self.shards(split), split)
            except ValueError as error:
                raise IndexFileError(f"sample table {url} does not match its index: {error}", fix=self.fix) from error
        return tables


def _shard_info(shard: dict[str, Any]) -> ShardInfo:
    return ShardInfo(**{column.name: shard[column.name] for column in fields(ShardInfo)})


def _rebuild_advice(root: str, code: str, *, indexed: bool | None = None) -> str:
    """Return how to recreate damaged shards. `indexed`: whether other tools made the tars; None if unknown."""
    folder = "SHARDS" if storage.is_url(root) else root
    build = f"rebuild it with 'mms-dist shards build SOURCE {folder} --lang {code} --force'"
    index = f"index it again with 'mms-dist shards index {folder} --lang {code} --force'"
    ways = {None: f"{build}, or, if another tool made the tars, {index}", True: index, False: build}[indexed]
    return f"fetch an undamaged copy, or {ways}"


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ShardsError(f"split {split!r} is unknown: expected one of {', '.join(SPLITS)}")
