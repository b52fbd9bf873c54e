"""Which utterances `mms-dist debug` looks at, and what it says of their transcripts."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mms_dist.data.batch import Utterance
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.debugging.checks.sanity import frames_suffice, labels_round_trip
from mms_dist.debugging.debug_report import FAILED, PASSED
from mms_dist.debugging.sections import transcript_lines
from mms_dist.debugging.utterance_choice import nearest_first, shortest_first, similar_lengths, take, take_by_length
from mms_dist.errors import DataError
from shards.errors import DamagedSampleError
from shards.index import SampleTable
from shards.vocabulary import UNKNOWN, Vocabulary
from tests.unit.data.test_training_stream import TABLE

VOCABULARY = Vocabulary.build("ron", "abc")


def table(seconds: list[float], labels: list[int] | None = None) -> SampleTable:
    """Rows 3, 5, 7, … of a split, all of them called `000000`."""
    some = TABLE.select(np.arange(len(seconds)))
    some.rows[:] = 3 + 2 * np.arange(len(seconds))
    some.keys[:] = "000000"
    some.samples[:] = np.rint(np.array(seconds) * 16_000)
    some.label_length[:] = labels or [9] * len(seconds)
    return some


class Reader:
    """Reads rows of the whole split; those of `damaged` cannot be read."""

    def __init__(self, damaged: tuple[int, ...] = ()) -> None:
        self.damaged = damaged

    def read(self, language: str, split: str, row: int) -> Any:
        assert (language, split) == ("ron", "train")
        if row in self.damaged:
            raise DamagedSampleError(language, "000000", "train-0.tar", "CRC")
        return SimpleNamespace(key="000000", audio=np.full(400, row, np.int16), text="abc")


def active(of: SampleTable) -> Any:
    return SimpleNamespace(language="ron", stream=SimpleNamespace(table=of), vocabulary=VOCABULARY)


def rows(utterances: list[Utterance]) -> list[int]:
    assert all(int(item.audio[0]) == item.id.row and item.key == "000000" for item in utterances)
    return [item.id.row for item in utterances]


def test_target_durations_are_spread_over_all_but_the_longest_utterances() -> None:
    tables = [table([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), table([7.0, 8.0, 9.0, 10.0, 11.0])]
    assert similar_lengths(tables, 3).tolist() == pytest.approx([2.0, 5.0, 8.0])
    assert similar_lengths(tables, 1).tolist() == [6.0]


def test_places_come_by_how_near_and_how_short_they_are() -> None:
    assert nearest_first(table([4.0, 1.0, 2.0, 3.1]), 3.0) == [3, 0, 2, 1]
    assert shortest_first(table([4.0, 1.0, 2.0, 3.0], labels=[9, 5, 9, 6])) == [2, 3, 0, 1]


def test_every_duration_takes_another_utterance_even_if_keys_are_equal() -> None:
    some = table([1.0, 2.0, 3.0, 4.0])
    assert rows(take_by_length(Reader(), active(some), [2.1, 2.1, 2.1])) == [5, 7, 3]  # type: ignore[arg-type]
    assert rows(take_by_length(Reader(), active(some), [1.0] * 9)) == [3, 5, 7, 9]  # type: ignore[arg-type]


def test_what_cannot_be_read_gives_way_to_the_next_nearest() -> None:
    some = table([1.0, 2.0, 3.0, 4.0])
    assert rows(take(Reader((5,)), active(some), [1, 2, 0], count=2)) == [7, 3]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no training utterance of ron can be read: .*000000.*train-0\.tar: CRC"):
        take(Reader((3, 5)), active(some), [0, 1], count=1)  # type: ignore[arg-type]


def bench_of(*utterances: Utterance) -> Any:
    batches = {"ron": SimpleNamespace(utterances=list(utterances))}
    active_languages = {"ron": SimpleNamespace(vocabulary=VOCABULARY)}
    return SimpleNamespace(batches=batches, active_languages=active_languages, utterances=lambda: list(utterances))


def utterance(row: int, text: str, *, frames: int = 50, labels: list[int] | None = None) -> Utterance:
    ids = np.array(labels or VOCABULARY.encode(text), dtype=np.int32)
    return Utterance(
        id=UtteranceId("ron", "train", row),
        key="000000",
        epoch=0,
        audio=np.zeros(400, np.int16),
        labels=ids,
        text=text,
        frames=frames,
    )


def test_transcripts_that_do_not_decode_back_are_named_by_row() -> None:
    good = transcript_lines(bench_of(utterance(1, "aab c"), utterance(2, "cc")))
    assert [(line.row, line.text, line.decoded, line.unknown) for line in good] == [
        (1, "aab c", "aab c", 0),
        (2, "cc", "cc", 0),
    ]
    assert labels_round_trip(good).status == PASSED
    for labels in ([*VOCABULARY.encode("ab")], [*VOCABULARY.encode("abc"), UNKNOWN]):
        check = labels_round_trip(transcript_lines(bench_of(utterance(1, "cab"), utterance(7, "abc", labels=labels))))
        assert check.status == FAILED and "1 of 2" in check.measured and "ron 000000 (row 7)" in check.measured


def test_an_unknown_label_fails_even_where_the_text_comes_back() -> None:
    (line,) = transcript_lines(bench_of(utterance(1, VOCABULARY.decode([UNKNOWN]), labels=[UNKNOWN])))
    assert line.unknown == 1 and labels_round_trip([line]).status == FAILED


def test_utterances_with_too_few_frames_are_named_by_row() -> None:
    enough, tight = utterance(1, "abc", frames=3), utterance(8, "aab", frames=3)  # a blank between the two a
    assert frames_suffice(bench_of(enough)).status == PASSED
    check = frames_suffice(bench_of(enough, tight))
    assert check.status == FAILED and "1 have too few" in check.measured and "ron 000000 (row 8)" in check.measured
