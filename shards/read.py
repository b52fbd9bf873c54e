"""Read any utterance of indexed shards, with a single positioned read.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shards import storage
from shards.audio.codec import new_samples
from shards.audio.recording import Samples
from shards.cache import ShardCache
from shards.drops import Rejected
from shards.errors import DamagedSampleError, Problem, StorageError, TruncatedShardError
from shards.file_content import fix_of
from shards.index.language_index import LanguageIndex
from shards.index.sample_table import SampleTable, ShardInfo
from shards.index.shard_index import ShardIndex
from shards.tars.members import info_in
from shards.tars.sample import SampleParser
from shards.tars.spans import members_of

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RawUtterance:
    """One utterance: 16 kHz mono `audio` int16 `[S]`, its normalised `text`, and `info`, the sample's own JSON."""

    language: str
    key: str
    audio: Samples
    text: str
    info: dict[str, Any]


class ShardReader:
    """Reads utterances by row. Safe to use from several threads, and in processes forked from this one.

    Remote shards are downloaded completely into `cache` at first use (None: a cache in the temporary folder).
    """

    def __init__(self, index: ShardIndex, cache: ShardCache | None = None, *, max_open_shards: int = 128) -> None:
        self._index = index
        self._max_open_shards = max_open_shards
        self._cache = cache
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()
        self._places: dict[tuple[str, str], _Place] = {}
        self._lock = threading.Lock()

    def read(
        self, language: str, split: str, row: int, *, allocate: Callable[[int], Samples] = new_samples
    ) -> RawUtterance:
        """Read the utterance in a row of `index.language(language).table(split)` (after `select`, one of its `rows`).

        `allocate` returns the memory to decode into, for callers that reuse their own.

        Raises:
            DamagedSampleError: the bytes differ from those that were indexed, or cannot be decoded.
            TruncatedShardError: the shard is missing or ends before the utterance.
            StorageError: the shard cannot be read or fetched.
        """
        place, parsed = self._parsed(language, split, row, lambda parse, members: parse(members, allocate))
        table = place.table
        key = str(table.keys[row])
        if len(parsed.audio) != table.samples[row]:
            url = place.url(int(table.shard[row]))
            found = (
                f"decodes to {len(parsed.audio)} samples, its index says {table.samples[row]} (earlier versions "
                "misjudged the length of some recordings)"
            )
            raise DamagedSampleError(language, key, url, found, int(row), fix=place.fix)
        return RawUtterance(language, key, parsed.audio, parsed.text, parsed.info)

    def read_text(self, language: str, split: str, row: int) -> str:
        """Read the normalised text of an utterance, without decoding its audio. Raises as `read`."""
        return self._parsed(language, split, row, lambda parse, members: parse.text(members))[1]

    def transcript(self, language: str, split: str, row: int) -> str:
        """Read the transcript as the source had it, without decoding the audio. Raises as `read`."""
        return self._parsed(language, split, row, lambda parse, members: parse.transcript(members))[1]

    def info(self, language: str, split: str, row: int) -> dict[str, Any]:
        """Read the JSON of an utterance, without decoding its audio; empty if it has none. Raises as `read`."""
        return self._parsed(language, split, row, lambda parse, members: info_in(members))[1]

    def _parsed(
        self, language: str, split: str, row: int, parse: Callable[[SampleParser, dict[str, memoryview]], Result]
    ) -> tuple[_Place, Result]:
        """Read the bytes of an utterance, compare them with the index, and parse them."""
        place = self._places.get((language, split)) or self._place(language, split)
        table = place.table
        size = int(table.size[row])
        number = int(table.shard[row])
        descriptor = self._descriptor(place, number)
        try:
            span = os.pread(descriptor.number, size, int(table.offset[row]))
        except OSError as error:
            raise StorageError(f"shard {place.url(number)} cannot be read: {error.strerror}") from error
        if len(span) < size:
            raise place.truncated(number, os.fstat(descriptor.number).st_size)
        key = str(table.keys[row])
        try:
            if zlib.crc32(span) != table.crc32[row]:
                raise ValueError("its bytes are not those that were indexed (CRC-32 differs)")
            return place, parse(place.parse, members_of(span))
        except (ValueError, Rejected) as error:
            problem = error.problem if isinstance(error, Rejected) else Problem(str(error))
            raise DamagedSampleError(language, key, place.url(number), problem.found, int(row), problem.fix) from error

    def check_sizes(self, language: str, split: str) -> None:
        """Check that every shard of a split exists and has the length in the index, without reading any.

        If the length cannot be queried (a pipe, some servers), it is checked when the shard is fetched.

        Raises:
            TruncatedShardError: names the first shard that does not, and the fix.
        """
        place = self._place(language, split)
        numbers = range(len(place.shards))
        found = storage.each(
            self._index.root, lambda number: storage.has_length(place.url(number), place.shards[number].bytes), numbers
        )
        for number, (is_right, length) in zip(numbers, found, strict=True):
            if not is_right:
                raise place.truncated(number, length)

    def close(self) -> None:
        """Close every shard."""
        with self._lock:
            self._open.clear()

    def _place(self, language: str, split: str) -> _Place:
        index = self._index.language(language)
        place = _Place(index, index.table(split), index.shards(split), SampleParser.of(language, index.reading))
        return self._places.setdefault((language, split), place)

    def _descriptor(self, place: _Place, number: int) -> _Descriptor:
        url = place.url(number)
        with self._lock:
            if url in self._open:
                self._open.move_to_end(url)
                return self._open[url]
            if self._cache is None and storage.local_path(url) is None:
                self._cache = ShardCache.in_temporary_folder()
        opened = self._open_shard(place, number, url)
        with self._lock:
            self._open[url] = opened
            while len(self._open) > self._max_open_shards:
                self._open.popitem(last=False)
        return opened

    def _open_shard(self, place: _Place, number: int, url: str) -> _Descriptor:
        path = storage.local_path(url)
        if path is None:
            assert self._cache is not None
            return _Descriptor(self._cache.open(url, place.shards[number]))
        try:
            return _Descriptor(os.open(path, os.O_RDONLY))
        except FileNotFoundError as error:
            raise place.truncated(number, None) from error
        except OSError as error:
            raise StorageError(f"shard {path} cannot be opened: {error.strerror}") from error


class _Place:
    """One split of one language, with everything needed to read a row."""

    def __init__(
        self, index: LanguageIndex, table: SampleTable, shards: tuple[ShardInfo, ...], parse: SampleParser
    ) -> None:
        self.table = table
        self.shards = shards
        self.parse = parse
        self.fix = index.fix
        self._truncated_fix = f"{index.fix} ('mms-dist shards verify {index.root}' lists everything that is wrong)"
        self._urls = [index.shard_url(shard) for shard in shards]

    def url(self, number: int) -> str:
        return self._urls[number]

    def truncated(self, number: int, found: int | None) -> TruncatedShardError:
        return TruncatedShardError(
            self._urls[number],
            bytes_found=found,
            bytes_expected=self.shards[number].bytes,
            fix=fix_of(storage.local_path(self._urls[number]), self._truncated_fix),
        )


class _Descriptor:
    """An open file that is closed with its last user, so that no thread reads from a reused descriptor number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)
