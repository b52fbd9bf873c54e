"""Texts in another script or another language of the corpus are told from the others."""

import random

import numpy as np
import pytest

from shards.flags.language_models import LanguageModels
from shards.flags.names import FLAGS
from shards.flags.scripts import SCRIPTS, main_scripts, share_outside, usual_scripts
from shards.language_table import language_table
from tests.demo_clips import demo_texts

LEAST = FLAGS["unexpected_language"].threshold


@pytest.fixture(scope="module")
def texts():
    return {code: demo_texts(code) for code in ("eng", "fra", "ita", "rus", "spa")}


def test_sentences_of_another_language_are_found_and_own_ones_are_not(texts):
    draw = random.Random(0)
    mixed = {code: list(own) for code, own in texts.items()}
    foreign = {}
    for code, own in mixed.items():
        for row in draw.sample(range(len(own)), len(own) // 20):
            other = draw.choice([each for each in texts if each != code])
            own[row] = draw.choice([text for text in texts[other] if len(text) >= 20])
            foreign[code, row] = other
    models = LanguageModels(mixed)
    right = wrong = 0
    for code, own in mixed.items():
        for row, text in enumerate(own):
            found = models.likelier(text, code, counted=True)
            if found is not None and found.log_ratio >= LEAST:
                right += found.language == foreign.get((code, row))
                wrong += (code, row) not in foreign
    assert right >= 0.95 * len(foreign) and wrong <= 0.1 * right


def test_a_text_does_not_speak_for_its_own_language_by_being_in_it(texts):
    stray = "please enter your password followed by the pound key"
    models = LanguageModels({**texts, "rus": [*texts["rus"], stray]})
    found = models.likelier(stray, "rus", counted=True)
    assert found is not None and found.language == "eng" and found.log_ratio > LEAST


def test_with_one_language_there_is_no_other(texts):
    assert LanguageModels({"ita": texts["ita"]}).likelier("hello", "ita", counted=False) is None


def test_letters_outside_the_scripts_of_a_language_are_counted():
    found = share_outside(["буна ziua", "abc", "123", "", "да"], ("Latin",))
    assert found.tolist() == pytest.approx([0.5, 0.0, 0.0, 0.0, 1.0])
    assert share_outside(["東京タワーへ"], usual_scripts("jpn")).tolist() == [0.0]


def test_every_script_of_the_languages_of_mms_is_known():
    lacking = {each.script for each in language_table() if each.models and each.script} - SCRIPTS.keys()
    assert not lacking
    assert usual_scripts("ron") == ("Latin",) and usual_scripts("rus") == ("Cyrillic",)


def test_without_a_known_script_most_letters_decide():
    assert main_scripts(["abc", "абвг", "абв"]) == ("Cyrillic",)
    assert set(main_scripts(["ひらがなと漢字"])) >= {"Han", "Hiragana", "Katakana"}
    assert main_scripts(["", "12"]) == () and np.all(share_outside(["12"], ()) == 0)
