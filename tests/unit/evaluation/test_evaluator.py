"""Transcripts of several owners are put together in the order of the split, whatever comes first."""

from itertools import permutations

import pytest

from mms_dist.data.batch import DamagedSample
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.evaluation.evaluator import Transcription, chosen
from tests.unit.data.test_training_stream import TABLE


def part(*rows: int, damaged: tuple[int, ...] = ()) -> Transcription:
    return Transcription(
        rows=list(rows),
        keys=[f"{9 - row}" for row in rows],  # in no order of theirs
        references=[f"said {row}" for row in rows],
        hypotheses=[f"heard {row}" for row in rows],
        damaged=[DamagedSample(UtteranceId("ron", "dev", row), "same", "dev-0.tar", "CRC") for row in damaged],
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_parts_are_joined_in_the_order_of_the_split(order: tuple[int, ...]) -> None:
    parts = [part(2, 5, 8, damaged=(6,)), part(0, 9, damaged=(3, 1)), part(4, 7)]
    joined = Transcription.joined(parts[place] for place in order)
    assert joined.rows == [0, 2, 4, 5, 7, 8, 9]
    assert joined.keys == ["9", "7", "5", "4", "2", "1", "0"]
    assert joined.references == [f"said {row}" for row in joined.rows]
    assert joined.hypotheses == [f"heard {row}" for row in joined.rows]
    assert [sample.id.row for sample in joined.damaged] == [1, 3, 6]


def test_rows_inside_a_part_need_no_order() -> None:
    assert Transcription.joined([part(3, 1), part(2)]).references == ["said 1", "said 2", "said 3"]


def test_a_part_of_nothing_changes_nothing() -> None:
    assert Transcription.joined([part(1, 2), part(), Transcription()]) == part(1, 2)
    assert Transcription.joined([]) == Transcription()


@pytest.mark.parametrize(
    ("language", "split", "rows"),
    [
        ("ron", "dev", [19, 71, 112, 124, 473]),
        ("ron", "test", [11, 175, 227, 274, 335]),
        ("ita", "dev", [30, 281, 307, 319, 411]),
    ],
)
def test_the_utterances_that_are_evaluated_are_the_same_for_ever(language: str, split: str, rows: list[int]) -> None:
    selection = chosen(TABLE, language, split, 5)
    assert selection.rows.tolist() == rows
    assert selection.samples.tolist() == TABLE.samples[rows].tolist()


def test_utterances_are_chosen_by_their_row_in_the_whole_split() -> None:
    some = TABLE.select(TABLE.rows % 2 == 1)
    assert set(chosen(some, "ron", "dev", 5).rows.tolist()) >= {19, 71, 473}
