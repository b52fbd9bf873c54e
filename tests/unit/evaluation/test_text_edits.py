"""The edits between texts, and how often each occurs."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.evaluation.text_edits import Confusion, Confusions, Edit, characters, confusions, edits

TEXTS = st.text(alphabet="abc \u0301\u4e2d", max_size=40)


@given(TEXTS, TEXTS)
def test_there_are_as_many_edits_as_the_edit_distance(reference: str, hypothesis: str) -> None:
    for units in (characters, str.split):
        left, right = units(reference), units(hypothesis)
        assert len(edits(left, right)) == Levenshtein.distance(left, right)


def test_a_letter_and_its_marks_are_one_character() -> None:
    assert characters("e\u0301a\u0928\u093f") == ["e\u0301", "a", "\u0928\u093f"]
    assert edits(characters("e\u0301"), ["e"]) == [Edit("e\u0301", "e")]


def test_confusions_are_counted_over_all_utterances() -> None:
    found = confusions([("papa", "baba"), ("pile", "bile"), ("an oar", "anoar")])
    assert found.characters == [Confusion("p", "b", 3), Confusion(" ", "", 1)]


def test_words_that_are_confused_once_are_left_out() -> None:
    found = confusions([("the cat sat", "a cat"), ("the dog", "a dog"), ("sat", "")])
    assert found.words == [Confusion("sat", "", 2), Confusion("the", "a", 2)]


def test_confusions_follow_the_scoring_rules() -> None:
    pairs = [("A b", "ab"), ("A b", "ab")]
    assert confusions(pairs, ScoringRules(case=False, spaces=False)).characters == []
    assert confusions(pairs, ScoringRules(case=False)).characters == [Confusion(" ", "", 2)]


def test_confusions_are_read_as_they_were_stored() -> None:
    found = confusions([("papa", "baba")] * 2)
    assert found.words and Confusions.from_dict(asdict(found)) == found
