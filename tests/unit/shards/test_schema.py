"""Frames and labels agree with what the models compute."""

import numpy as np
import pytest
import torch

from shards.schema import frames_of, required_frames


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
