"""Frames, labels and names agree with what the models compute and accept."""

import numpy as np
import pytest
import torch

from shards.errors import ShardsError
from shards.languages import CANDIDATES, parse_language
from shards.schema import frames_of, required_frames
from shards.splits import parse_split


def test_frames_of_equals_what_hugging_face_computes_for_every_length(small_base):
    from transformers import Wav2Vec2Config
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Model

    model = Wav2Vec2Model(Wav2Vec2Config.from_pretrained(small_base))
    samples = np.arange(400, 6000, 7)
    expected = model._get_feat_extract_output_lengths(torch.from_numpy(samples)).numpy()
    assert (frames_of(samples) == expected).all()
    assert [frames_of(int(count)) for count in samples[:50]] == expected[:50].tolist()


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (9, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49)])
def test_too_little_audio_for_one_frame_gives_none(samples, frames):
    assert frames_of(samples) == frames


def test_required_frames_is_the_shortest_length_for_which_ctc_is_finite():
    generator = np.random.default_rng(0)
    for _ in range(30):
        labels = generator.integers(1, 3, size=generator.integers(1, 8)).tolist()
        needed = required_frames(labels)
        for frames, finite in ((needed, True), (needed - 1, False)):
            if frames == 0:
                continue
            logits = torch.zeros(frames, 1, 4).log_softmax(-1)
            loss = torch.nn.functional.ctc_loss(logits, torch.tensor([labels]), (frames,), (len(labels),))
            assert bool(torch.isfinite(loss)) is finite


def test_required_frames_of_a_text_equals_that_of_its_labels():
    assert required_frames("aabb") == required_frames([5, 5, 6, 6]) == 6
    assert required_frames("") == 0


@pytest.mark.parametrize("code", ["ron", "srp-script_latin", "azj-script_cyrillic", "poh-dialect_eastern"])
def test_codes_that_mms_uses_are_languages(code):
    assert parse_language(code) == code


@pytest.mark.parametrize("code", ["ro", "RON", "Romanian", "ron_RO", "", "../ron", "ron-script_", "ron\n"])
def test_a_bad_language_code_is_named_with_an_example_of_a_good_one(code):
    with pytest.raises(ShardsError, match="expected three lower-case letters"):
        parse_language(code)


def test_an_unknown_split_is_named_with_the_known_ones():
    assert [parse_split(name) for name in ("train", "validation", "Test")] == ["train", "dev", "test"]
    with pytest.raises(ShardsError, match=r"'trian' is unknown: expected one of train, dev, test"):
        parse_split("trian")


def test_a_code_of_two_letters_lists_what_it_may_stand_for():
    for code, candidates in CANDIDATES.items():
        assert len(code) == 2
        with pytest.raises(ShardsError, match="not ISO 639-3") as caught:
            parse_language(code)
        for candidate in candidates:
            assert parse_language(candidate) == candidate
            assert f"'{candidate}'" in str(caught.value)
    assert {"no", "zh", "sr", "sh", "ku", "ms"} <= {code for code, several in CANDIDATES.items() if len(several) > 1}
