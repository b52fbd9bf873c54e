"""Copies of a recording are found by fingerprints, and other recordings are not."""

import numpy as np
import pytest

from shards.flags.copies import earlier_copies
from shards.flags.fingerprint import fingerprint
from shards.flags.names import FLAGS
from tests.demo_clips import copy_of, demo_clips

LEAST = FLAGS["near_duplicate_audio"].threshold


@pytest.fixture(scope="module")
def clips():
    return demo_clips("rus-train-1", least_seconds=1.8)[:60]


@pytest.fixture(scope="module")
def prints(clips):
    return [fingerprint(clip.audio) for clip in clips]


@pytest.mark.parametrize(("format", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "ULAW")])
def test_a_cut_and_quieter_copy_in_another_format_is_found(clips, prints, format, subtype):
    made = [
        fingerprint(copy_of(clip.audio, gain=0.4, cut_seconds=0.3 - 0.0003 * row, format=format, subtype=subtype))
        for row, clip in enumerate(clips)
    ]
    found = earlier_copies([*prints, *made], LEAST)[len(prints) :]
    assert np.mean(found == np.arange(len(clips))) >= 0.95


def test_other_sentences_of_the_same_speaker_are_not_copies(prints):
    assert (earlier_copies(prints, LEAST) == -1).all()


def test_a_fingerprint_depends_on_the_samples_alone(clips, prints):
    assert [fingerprint(clip.audio.copy()) for clip in clips[:5]] == prints[:5]
    assert len(prints[0]) == 64 and list(prints[0]) != 64 * [0]


def test_the_first_copy_is_named_and_empty_fingerprints_are_skipped(prints):
    found = earlier_copies([prints[0], b"", prints[1], prints[0], b"", prints[1], prints[0]], LEAST)
    assert found.tolist() == [-1, -1, -1, 0, -1, 2, 0]
    assert earlier_copies([], LEAST).tolist() == [] and earlier_copies([b"", b""], LEAST).tolist() == [-1, -1]


def test_bands_find_what_comparing_all_finds_in_a_large_corpus():
    generator = np.random.default_rng(0)
    originals = generator.integers(1, 256, (12_000, 64), dtype=np.uint8)
    made = originals[:400].copy()
    for row in made:
        changed = generator.permutation(64)[: 64 - 23]
        row[changed] = generator.integers(1, 256, len(changed))
    found = earlier_copies([each.tobytes() for each in np.concatenate([originals, made])], LEAST)
    assert (found[: len(originals)] == -1).all()
    assert np.mean(found[len(originals) :] == np.arange(len(made))) >= 0.99
