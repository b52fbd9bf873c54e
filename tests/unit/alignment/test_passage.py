"""A recording's text becomes words in raw form with the labels that the search looks for."""

import numpy as np
import pytest

from mms_dist.alignment.passage import SLACK_SECONDS, Line, PassageReader
from mms_dist.emissions.windows import FRAME_SECONDS
from shards.text_rules import load_rules
from shards.vocabulary import Vocabulary

LATIN = Vocabulary.build("ita", ["abcdefghilmnopqrstuvzèà'"])


def spelled(reader: PassageReader, vocabulary: Vocabulary, text: str) -> list[tuple[str, str]]:
    words = reader.passage([Line(text)]).words
    return [(word.raw, "".join(vocabulary.tokens[label] for label in word.labels)) for word in words]


def test_words_keep_their_raw_form_and_are_normalised_for_the_search() -> None:
    reader = PassageReader(load_rules("ita"), LATIN)
    assert spelled(reader, LATIN, "«Perché no?» – disse, l'altro.") == [
        ("«Perché", "perche"),  # é is not in the vocabulary, e is
        ("no?»", "no"),
        ("–", ""),
        ("disse,", "disse"),
        ("l'altro.", "l'altro"),
    ]


def test_words_that_cannot_be_read_say_why_and_punctuation_does_not() -> None:
    words = PassageReader(load_rules("ita"), LATIN).passage([Line("nel 1984 [applausi lunghi] – %")]).words
    assert [(word.raw, word.reason) for word in words if not word.labels] == [
        ("1984", "numbers"),
        ("[applausi lunghi]", "markup"),
        ("–", ""),
        ("%", "unsupported_characters"),
    ]


def test_text_without_spaces_may_be_cut_at_every_character() -> None:
    words = PassageReader(load_rules("ita"), LATIN).passage([Line("a" * 50 + " no")]).words
    assert len(words) == 51 and [word.spaced for word in words[:2]] == [True, False] and words[-1].spaced


def test_another_script_is_romanised_for_the_adapter_of_another_language() -> None:
    pytest.importorskip("uroman")
    reader = PassageReader(load_rules("rus"), LATIN, romanise="rus")
    assert spelled(reader, LATIN, "да, мама") == [("да,", "da"), ("мама", "mama")]


def test_rough_times_only_grow_and_leave_slack() -> None:
    lines = [Line("uno", 100, 110), Line("due"), Line("tre", 90, 95), Line("quattro", 300, 310)]
    rough = PassageReader(load_rules("ita"), LATIN).passage(lines).rough_frames()
    assert rough is not None
    first, last = np.stack(rough) * FRAME_SECONDS
    assert first == pytest.approx(np.array([90, 90, 90, 300]) - SLACK_SECONDS)
    assert last[0] == pytest.approx(110 + SLACK_SECONDS) and last[-1] == pytest.approx(310 + SLACK_SECONDS)
    assert (np.diff(first) >= 0).all() and (np.diff(last) >= 0).all()
    assert PassageReader(load_rules("ita"), LATIN).passage([Line("uno")]).rough_frames() is None
