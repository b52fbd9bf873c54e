"""The names of splits are those that corpora use, and no speaker is in two of them if asked."""

import pytest

from shards.errors import ShardsError
from shards.splits import Utterance, assign_splits_by_speaker, parse_split


def test_an_unknown_split_is_named_with_the_known_ones():
    assert [parse_split(name) for name in ("train", "validation", "Test")] == ["train", "dev", "test"]
    with pytest.raises(ShardsError, match=r"'trian' is unknown: expected one of train, dev, test"):
        parse_split("trian")


def test_speakers_do_not_move_when_the_corpus_grows():
    small = [Utterance(f"text {n}", f"s{n % 60}", None) for n in range(600)]
    large = [*small, *(Utterance(f"text {n}", f"s{n % 90}", None) for n in range(600, 1500))]
    own, texts = assign_splits_by_speaker(small, 0.1, 0.1)
    later, _ = assign_splits_by_speaker(large, 0.1, 0.1)
    assert later[:600] == own
    assert [texts[one.text] for one in small] == own
    assert {split: own.count(split) > 20 for split in ("train", "dev", "test")} == dict.fromkeys(set(own), True)


def test_a_speaker_with_most_of_the_clips_is_trained_on():
    for name in range(50):
        clips = [Utterance(f"text {n}", f"main {name}" if n % 2 else f"s{n % 40}", None) for n in range(400)]
        own, _ = assign_splits_by_speaker(clips, 0.1, 0.1)
        assert own[1] == "train"


def test_a_speaker_whom_the_source_has_in_a_split_stays_there():
    clips = [Utterance(f"text {n}", f"s{n % 9}", "test" if n < 9 else None) for n in range(90)]
    own, texts = assign_splits_by_speaker([*clips, Utterance("text x", "new", None), Utterance("y", None, None)], 0, 0)
    assert own == ["test"] * 90 + ["train", None]
    assert texts["y"] == "train"
