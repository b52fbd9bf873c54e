"""Who hands which language to whom when owners change: the same on every rank, and each old owner its part."""

import string

from mms_dist.distributed.placement import RankGroup
from mms_dist.training.slot_manager import Move, moves

BEFORE = {"b": RankGroup(2, 2), "a": RankGroup(0, 1), "c": RankGroup(3, 1), "gone": RankGroup(1, 1)}
AFTER = {"c": RankGroup(3, 1), "a": RankGroup(1, 1), "b": RankGroup(0, 4), "new": RankGroup(2, 1)}


def test_languages_move_in_one_order_whatever_the_placements_order() -> None:
    expected = [Move("a", 0, 1), Move("b", 2, 0), Move("b", 3, 1)]
    assert moves(BEFORE, AFTER) == expected
    assert moves(dict(reversed(BEFORE.items())), dict(reversed(AFTER.items()))) == expected
    many = [f"t{letter}" for letter in reversed(string.ascii_lowercase)]
    todo = moves(dict.fromkeys(many, RankGroup(0, 1)), dict.fromkeys(many, RankGroup(1, 1)))
    assert [move.language for move in todo] == sorted(many)


def test_a_block_that_doubles_does_so_in_the_time_of_one_parcel() -> None:
    todo = moves({"a": RankGroup(0, 2)}, {"a": RankGroup(0, 4)})
    assert todo == [Move("a", 0, 2), Move("a", 1, 3)]
    grown = moves({"a": RankGroup(1, 1)}, {"a": RankGroup(0, 3)})
    assert grown == [Move("a", 1, 0), Move("a", 1, 2)]


def test_owners_that_stay_and_blocks_that_shrink_are_handed_nothing() -> None:
    assert moves({"a": RankGroup(0, 4)}, {"a": RankGroup(2, 2)}) == []
    assert moves({"a": RankGroup(0, 1)}, {"b": RankGroup(0, 1)}) == []
