"""Lines are found by their keys in any order, and few of them are kept where the order is the usual one."""

import random

import pytest

from shards.sources.keyed_lines import KeyedLines
from shards.sources.rows import RowError

KEYS = [f"{number:03d}" for number in range(200)]


class Read:
    """Lines that count how many were read."""

    def __init__(self):
        self.lines = 0

    def __call__(self):
        for key in KEYS:
            self.lines += 1
            yield key, f"value of {key}"


@pytest.mark.parametrize("keep", [True, False])
def test_keys_in_the_order_of_the_lines_are_read_once(keep):
    read = Read()
    lines = KeyedLines(read, limit=5)
    assert [lines.get(key, keep=keep) for key in KEYS] == [f"value of {key}" for key in KEYS]
    assert read.lines == len(KEYS)


def test_keys_are_found_in_any_order_and_again_after_they_were_forgotten():
    wanted = KEYS * 3
    random.Random(0).shuffle(wanted)
    lines = KeyedLines(Read(), limit=5)
    assert [lines.get(key, keep=True) for key in wanted] == [f"value of {key}" for key in wanted]
    assert lines.get("none", keep=True) is None


def test_what_was_not_looked_up_is_the_rest():
    lines = KeyedLines(Read())
    for key in KEYS[10:50]:
        lines.get(key)
    assert list(lines.rest()) == [*KEYS[:10], *KEYS[50:]]


def test_a_bad_value_is_an_error_only_for_its_key():
    lines = KeyedLines(lambda: [("a", RowError("file:1", "row_encoding", "is not UTF-8")), ("b", "good")])
    assert lines.get("b") == "good"
    with pytest.raises(RowError, match="file:1: is not UTF-8"):
        lines.get("a")
