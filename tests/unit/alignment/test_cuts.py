"""Words become utterances of the lengths asked for, cut at pauses, that hold nothing but speech with its text."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from mms_dist.alignment.cuts import Cut, SaidWord, cut
from mms_dist.alignment.passage import Line, Passage, Word

PAUSES = [0.05, 0.4, 0.15]


def passage_of(count: int, *, lines: int = 1, unreadable: tuple[int, ...] = ()) -> Passage:
    words = [
        Word(
            f"w{place}",
            () if place in unreadable else (5,),
            place * lines // count,
            True,
            "numbers" * (place in unreadable),
        )
        for place in range(count)
    ]
    return Passage(words, [Line("")] * lines)


def said_words(places: list[int], *, heard: dict[int, int] | None = None, start: float = 0.5) -> list[SaidWord]:
    found = []
    for number, place in enumerate(places):
        found.append(SaidWord(place, start, start + 0.5, -0.1, (heard or {}).get(place, 0)))
        start += 0.5 + PAUSES[number % 3]
    return found


def middles(said: list[SaidWord]) -> NDArray[np.float64]:
    return np.array([(word.end + after.start) / 2 for word, after in itertools.pairwise(said)])


def cuts_of(passage: Passage, said: list[SaidWord], **options: float) -> list[Cut]:
    return cut(passage, said, seconds=said[-1].end + 1, pauses=middles(said), **options)


@pytest.mark.parametrize(("shortest", "longest", "pause"), [(1.0, 20.0, 0.3), (3.0, 6.0, 0.1), (0.4, 2.0, 0.0)])
def test_utterances_have_the_length_and_are_cut_in_pauses(shortest: float, longest: float, pause: float) -> None:
    said = said_words(list(range(200)))
    found = cuts_of(passage_of(200), said, shortest=shortest, longest=longest)
    lengths = np.array([each.end - each.start for each in found])
    assert (lengths >= shortest).all() and (lengths <= longest).all()
    assert [each.first for each in found[1:]] == [each.stop for each in found[:-1]], "no word is lost"
    for each in found:
        assert each.start <= said[each.first].start and said[each.stop - 1].end <= each.end
    for one, other in itertools.pairwise(found):
        assert one.end <= other.start
        assert said[other.first].start - said[one.stop - 1].end > pause


def test_nothing_that_was_not_said_or_cannot_be_read_is_in_an_utterance() -> None:
    places = [place for place in range(40) if not 10 <= place < 15]
    said = said_words([place for place in places if place != 25], heard={30: 8})
    found = cuts_of(passage_of(40, unreadable=(25,)), said)
    spans = [(said[each.first].place, said[each.stop - 1].place) for each in found]
    assert all(not first < place <= last for first, last in spans for place in (10, 25, 30))
    assert {0, 9, 15, 24, 26, 29, 30, 39} <= {place for span in spans for place in span}


def test_speech_beside_an_utterance_is_not_padding() -> None:
    said = [SaidWord(0, 2.0, 3.0, -0.1, 50), SaidWord(1, 3.5, 4.5, -0.1)]
    (found,) = cut(passage_of(2), said, seconds=9.0, pauses=middles(said), heard_after=50)
    assert (found.start, found.end) == (2.0, 4.5)
    said[0] = SaidWord(0, 2.0, 3.0, -0.1)
    (found,) = cut(passage_of(2), said, seconds=9.0, pauses=middles(said))
    assert (found.start, found.end) == (1.75, 4.75)


def test_utterances_meet_at_the_place_to_cut() -> None:
    said = [SaidWord(0, 0.0, 2.0, -0.1), SaidWord(1, 2.4, 4.4, -0.1)]
    before, after = cut(passage_of(2), said, seconds=4.4, pauses=np.array([2.2 - 0.08]), longest=3.0)
    assert (before.end, after.start) == (2.12, pytest.approx(2.4 - 0.25))
    before, after = cut(passage_of(2), said, seconds=4.4, pauses=np.array([2.24]), longest=3.0)
    assert (before.end, after.start) == (2.24, 2.24)


def test_words_too_short_for_an_utterance_are_left_out() -> None:
    assert cuts_of(passage_of(1), said_words([0]), shortest=1.1) == []
    assert cut(passage_of(1), [], seconds=9.0, pauses=np.empty(0)) == []


def test_lines_end_utterances_where_pauses_are_equal() -> None:
    said = [SaidWord(place, place * 0.8, place * 0.8 + 0.6, -0.1) for place in range(45)]
    found = cuts_of(passage_of(45, lines=3), said)
    assert [each.stop for each in found] == [15, 30, 45]
