"""The index of shards: where every utterance is stored, without reading the shards.

Legend: `[N]` one entry per utterance, in shard order.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards import storage
from shards.errors import IndexFileError, ShardsError, StorageError, UnknownLanguageError, nearest
from shards.file_content import stand_in_of
from shards.index_checks import INTEGER_COLUMNS, check_columns, check_content, check_rows, parse_index
from shards.schema import INDEX_NAME, SAMPLE_RATE, SCHEMA_VERSION, SPLITS, TABLE_NAME, VOCABULARY_NAME
from shards.vocabulary import Vocabulary

STRING = np.dtypes.StringDType()


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """One tar. `name` is relative to the language's folder, or a full URL; `samples` counts utterances."""

    name: str
    samples: int
    seconds: float
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleTable:
    """One row per utterance of a split, in shard order.

    `rows` is the row's number in the whole split, as `ShardReader.read` expects it; it differs from the position only
    after `select`. `samples` counts audio samples at 16 kHz, `frames` the encoder's output frames for them, and
    `required_frames` the minimum number of frames with which CTC can emit the labels.
    """

    rows: NDArray[np.int64]
    keys: NDArray[Any]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    crc32: NDArray[np.uint32]
    samples: NDArray[np.int32]
    frames: NDArray[np.int32]
    label_length: NDArray[np.int32]
    required_frames: NDArray[np.int32]
    speaker: NDArray[Any]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def durations(self) -> NDArray[np.float64]:
        """Durations in seconds `[N]`."""
        return self.samples / np.float64(SAMPLE_RATE)

    def select(self, mask: NDArray[Any]) -> SampleTable:
        """Return the rows that a boolean mask or an index array selects."""
        return SampleTable(**{column.name: getattr(self, column.name)[mask] for column in fields(self)})


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
                    raise IndexFileError(str(error), fix=self.fix) from error
                except ShardsError as error:
                    raise IndexFileError(f"{url} cannot be read: {error}", fix=self.fix) from error
                if vocabulary.language != self.language:
                    raise IndexFileError(
                        f"{url} is for {vocabulary.language!r}, expected {self.language!r}", fix=self.fix
                    )
                self._vocabulary = vocabulary
            return self._vocabulary

    def _read(self, url: str) -> bytes:
        try:
            return storage.read_bytes(url)
        except FileNotFoundError as error:
            raise IndexFileError(f"{url} is missing", fix=self.fix) from error

    def _load_tables(self) -> dict[str, SampleTable]:
        import pyarrow.parquet

        url = storage.join(self.root, self.language, TABLE_NAME)
        content = self._read(url)
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
            # Arrow's worker threads can outlive the interpreter, and then a short command ends with SIGABRT.
            whole = file.read(use_threads=False)
            check_columns(whole)
            tables = {split: _table(_of_split(whole, split)) for split in SPLITS}
        # pyarrow raises OSError for damage outside the footer, although all bytes are in memory by now.
        except (pyarrow.ArrowException, KeyError, ValueError, OSError, MemoryError, OverflowError) as error:
            instead = stand_in_of(content, storage.join(self.root, self.language))
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
            raise IndexFileError(f"sample table {url} has rows of other splits than {', '.join(SPLITS)}", fix=self.fix)
        for split, table in tables.items():
            columns = {name: getattr(table, name) for name in INTEGER_COLUMNS}
            try:
                check_rows(columns, self.shards(split), split)
            except ValueError as error:
                raise IndexFileError(f"sample table {url} does not match its index: {error}", fix=self.fix) from error
        return tables


class ShardIndex:
    """The indexes of the languages under one root."""

    def __init__(self, root: str, indexes: dict[str, LanguageIndex]) -> None:
        self.root = root
        self._indexes = indexes

    @classmethod
    def load(cls, root: str, languages: Sequence[str] | None = None) -> ShardIndex:
        """Read `<root>/<language>/index.json` of the given languages, or of all that have one.

        Raises:
            IndexFileError: the root holds no index, a language is missing, or an index is unreadable.
            StorageError: the root cannot be listed or read.
        """
        root = str(root)
        if languages is None:
            languages = indexed_languages(root)
        return cls(str(root), {code: _load_language(root, code) for code in sorted(languages)})

    @property
    def languages(self) -> tuple[str, ...]:
        """The language codes, sorted."""
        return tuple(self._indexes)

    def language(self, code: str) -> LanguageIndex:
        """Return the index of one language.

        Raises:
            IndexFileError: the code is not among `languages`; the message suggests the closest.
        """
        if code not in self._indexes:
            raise UnknownLanguageError(_unknown_language(self.root, code, self.languages))
        return self._indexes[code]


def indexed_languages(root: str) -> list[str]:
    """Return the languages under `root` that have an `index.json`, valid or not.

    Raises:
        IndexFileError: there are none.
        StorageError: the root cannot be listed.
    """
    folders = storage.list_folders(root)
    languages = [name for name in folders if storage.exists(storage.join(root, name, INDEX_NAME))]
    if not languages:
        raise IndexFileError(
            f"{root} holds no <language>/{INDEX_NAME}",
            fix=(
                f"build shards there with 'mms-dist shards build SOURCE {root}', "
                f"or index existing tars with 'mms-dist shards index {root}'"
            ),
        )
    return languages


def _load_language(root: str, code: str) -> LanguageIndex:
    url = storage.join(root, code, INDEX_NAME)
    try:
        text = storage.read_bytes(url)
    except FileNotFoundError as error:
        try:
            present = storage.list_folders(root)
        except StorageError:
            present = []
        raise UnknownLanguageError(_unknown_language(root, code, present)) from error
    try:
        content = parse_index(text)
        version = content["schema_version"]
    except (ValueError, KeyError) as error:
        instead = stand_in_of(text, storage.join(root, code))
        reason = f"it {instead.found}" if instead else _described(error)
        rebuild = _rebuild_advice(root, code)
        fix = f"{instead.fix}; otherwise {rebuild}" if instead else rebuild
        raise IndexFileError(f"{url} is not a shard index ({reason})", fix=fix) from error
    if version != SCHEMA_VERSION:
        raise IndexFileError(
            f"{url} has schema version {version}, expected {SCHEMA_VERSION}", fix=_rebuild_advice(root, code)
        )
    try:
        check_content(content, code)
    except ValueError as error:
        raise IndexFileError(
            f"{url} has a missing or invalid entry ({error})", fix=_rebuild_advice(root, code)
        ) from error
    return LanguageIndex(code, root, content)


def _shard_info(shard: dict[str, Any]) -> ShardInfo:
    return ShardInfo(**{column.name: shard[column.name] for column in fields(ShardInfo)})


def _of_split(whole: Any, split: str) -> Any:
    """Return the rows of a split.

    pyarrow imports pandas, which takes half a second, to convert a string to a scalar and in `to_numpy`. So this
    function takes the scalar from the column itself, and `_table` uses DLPack.
    """
    import pyarrow.compute

    splits = whole.column("split")
    found = [scalar for scalar in splits.unique() if scalar.as_py() == split]
    return whole.filter(pyarrow.compute.equal(splits, found[0])) if found else whole.slice(0, 0)


def _table(whole: Any) -> SampleTable:
    import pyarrow

    columns: dict[str, Any] = {"rows": np.arange(whole.num_rows, dtype=np.int64)}
    for name, kind in INTEGER_COLUMNS.items():
        numbers = whole.column(name).cast(pyarrow.from_numpy_dtype(kind)).combine_chunks()
        columns[name] = np.from_dlpack(numbers).copy() if len(numbers) else np.empty(0, dtype=kind)
    columns["keys"] = np.array(whole.column("key").to_pylist(), dtype=STRING)
    columns["speaker"] = np.array([name or "" for name in whole.column("speaker").to_pylist()], dtype=STRING)
    return SampleTable(**columns)


def _unknown_language(root: str, code: str, present: Sequence[str]) -> str:
    names = ", ".join(present[:20]) + (", …" if len(present) > 20 else "")
    return f"no shards of language {code!r} in {root}{nearest(code, present)}; languages there: {names or 'none'}"


def _described(error: Exception) -> str:
    return f"no entry {error}" if isinstance(error, KeyError) else str(error)


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
