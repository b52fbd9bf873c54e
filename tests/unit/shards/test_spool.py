"""A spool gives back what was put in, in order, and holds little of it in memory."""

import errno
import os
import tracemalloc

import pytest

from shards.errors import StorageError
from shards.spool import Spool

ITEMS = 100_000


def test_items_come_back_by_key_and_in_order_however_many_there_are():
    spool: Spool[tuple[str, int]] = Spool()
    for number in range(ITEMS):
        spool.add("abc"[number % 3], ("item", number))
    for place, key in enumerate("abc"):
        assert [number for _, number in spool.items(key)] == list(range(place, ITEMS, 3))
    spool.add("b", ("last", -1))
    assert list(spool.items("b"))[-1] == ("last", -1)
    assert list(spool.items("z")) == []
    assert [number for _, number in spool][:2] == [0, 3]


def test_keys_may_be_read_alternately():
    spool: Spool[int] = Spool()
    for number in range(ITEMS):
        spool.add("ab"[number % 2], number)
    assert all(second == first + 1 for first, second in zip(spool.items("a"), spool.items("b"), strict=True))


def test_memory_does_not_grow_with_the_number_of_items():
    peaks = []
    for count in (ITEMS, 2 * ITEMS):
        spool: Spool[str] = Spool()
        tracemalloc.start()
        for number in range(count):
            spool.add(str(number % 100), f"{number} " * 60)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_full_temporary_directory_is_named_with_what_to_do(monkeypatch):
    def refuse(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", refuse)
    spool: Spool[int] = Spool()
    spool.add("ron", 1)
    with pytest.raises(StorageError, match=r"No space left on device; set TMPDIR"):
        list(spool.items("ron"))
