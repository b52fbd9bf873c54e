"""Flags follow from the utterances of a language, and which of several equal ones keeps its place."""

import json

import numpy as np
import pytest

from shards.errors import ShardsError
from shards.flags.flagging import Utterances, describe, flag_utterances
from shards.flags.language_models import LanguageModels
from shards.flags.names import FLAGS, FlagOptions, check_names

COUNT = 40


def utterances(**changes):
    """Forty alike utterances with a text and a fingerprint of their own, and changes to some of them by column."""
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefgh "), 30)) for _ in range(COUNT)]
    columns = {
        "split": ["train"] * COUNT,
        "key": [f"k{number}" for number in range(COUNT)],
        "text": words,
        "samples": np.full(COUNT, 32_000),
        "align_score": generator.normal(-0.3, 0.1, COUNT),
        "level_db": generator.normal(-20, 1, COUNT),
        "clipped_share": np.zeros(COUNT),
        "speech_seconds": np.full(COUNT, 2.0),
        "fingerprint": [generator.integers(1, 256, 64, dtype=np.uint8).tobytes() for _ in range(COUNT)],
    }
    for name, values in changes.items():
        for row, value in values.items():
            columns[name][row] = value
    return Utterances(language="ron", **columns)


def flags_of(found, **thresholds):
    names = flag_utterances(found, FlagOptions(thresholds)).names()
    return {row: each for row, each in enumerate(names) if each}


def test_alike_utterances_have_no_flags():
    assert flags_of(utterances()) == {}


@pytest.mark.parametrize(
    ("flag", "changes"),
    [
        ("clipped", {"clipped_share": {7: 0.02}}),
        ("mostly_silent", {"speech_seconds": {7: 0.55}, "text": {7: "abcdehga"}}),
        ("unexpected_script", {"text": {7: "совсем другой текст, не как все"}}),
        ("unusual_speaking_rate", {"text": {7: "a"}}),
        ("unusual_loudness", {"level_db": {7: -45.0}}),
        ("unusual_loudness", {"level_db": {7: -5.0}}),
        ("unusual_align_score", {"align_score": {7: -2.0}}),
    ],
)
def test_each_flag_marks_the_utterance_that_is_unlike_the_others(flag, changes):
    assert flags_of(utterances(**changes)) == {7: flag}


def test_a_score_above_the_others_and_unknown_scores_are_not_flagged():
    assert flags_of(utterances(align_score={7: 3.0, 8: np.nan})) == {}


def test_few_utterances_have_no_outliers():
    found = utterances(level_db={7: -60.0})
    few = {name: getattr(found, name)[:19] for name in found.__slots__ if name not in ("language", "scripts")}
    assert flags_of(Utterances(language="ron", **few)) == {}


def test_test_keeps_a_text_before_dev_and_train_and_the_first_its_place():
    text = "the very same sentence in three splits"
    same = {3: text, 9: text, 20: text, 30: text}
    flags = flags_of(utterances(text=same, split={20: "test", 9: "dev"}))
    assert flags == {row: "near_duplicate_text" for row in (3, 9, 30)}
    assert set(flags_of(utterances(text=same))) == {9, 20, 30}


def test_of_equal_ones_one_without_other_flags_stays():
    text = "the very same sentence twice"
    assert flags_of(utterances(text={3: text, 9: text}, clipped_share={3: 0.1})) == {3: "near_duplicate_text,clipped"}


def test_a_copy_with_another_text_is_found_and_described_with_both():
    found = utterances()
    found.fingerprint[12] = found.fingerprint[5]
    flagged = flag_utterances(found, FlagOptions())
    described = describe(found, flagged, FlagOptions())
    assert list(described["found"]) == ["near_duplicate_audio"]
    entry = described["found"]["near_duplicate_audio"]
    assert entry["count"] == 1 and entry["splits"] == {"train": 1, "dev": 0, "test": 0} and entry["seconds"] == 2.0
    (example,) = entry["examples"]
    assert example.startswith("k12: a copy of k5 in train (64 of 64 bytes)") and " / " in example
    assert described["thresholds"] == {name: flag.threshold for name, flag in FLAGS.items()}


def test_thresholds_are_those_that_are_given():
    found = utterances(clipped_share={7: 0.02})
    assert flags_of(found, clipped=0.03) == {}
    with pytest.raises(ShardsError, match="did you mean 'clipped'"):
        check_names(["clipping"])


@pytest.mark.parametrize(("split", "flags"), [("train", {4: "unexpected_language"}), ("dev", {}), ("test", {})])
def test_only_counted_texts_of_train_do_not_vouch_for_their_language(split, flags):
    stray = "xylophone xylophone xylophone"
    found = utterances(text={4: stray}, split={4: split})
    train = [text for text, where in zip(found.text, found.split, strict=True) if where == "train"]
    # Both languages have it once: only a text that is itself the one of its language is likelier in the other.
    models = LanguageModels(
        {"ron": train if split == "train" else [*train, stray], "eng": [stray, "".join(train).upper()]}
    )
    names = flag_utterances(found, FlagOptions(), models).names()
    assert {row: each for row, each in enumerate(names) if "language" in each} == flags


def test_of_copies_one_is_left_without_those_dropped_for_other_flags():
    text = "the very same sentence in two splits"
    found = utterances(split={3: "test"}, clipped_share={3: 0.1}, text={9: text, 12: text})
    found.fingerprint[9] = found.fingerprint[3]
    flags = {row: each for row, each in enumerate(flag_utterances(found, FlagOptions()).names()) if each}
    assert flags == {3: "clipped", 9: "near_duplicate_audio", 12: "near_duplicate_text"}
    for dropped, expected in {
        ("clipped", "near_duplicate_audio"): {3: "clipped", 12: "near_duplicate_text"},
        ("near_duplicate_audio", "near_duplicate_text"): {3: "clipped", 9: "near_duplicate_audio"},
        ("near_duplicate_text",): flags,
    }.items():
        names = flag_utterances(found, FlagOptions(), dropped=dropped).names()
        assert {row: each for row, each in enumerate(names) if each} == expected


def test_the_same_choice_is_the_same_however_it_is_written():
    usual = FLAGS["mostly_silent"].threshold
    one = FlagOptions({"clipped": 0.01, "mostly_silent": usual, "unusual_loudness": 6.0}, ("clipped", "mostly_silent"))
    other = FlagOptions({"unusual_loudness": 6.0, "clipped": 0.01}, ("mostly_silent", "clipped", "clipped"))
    assert json.dumps(one.choice()) == json.dumps(other.choice())
    assert FlagOptions({"mostly_silent": usual}).choice() == {} != one.choice()
