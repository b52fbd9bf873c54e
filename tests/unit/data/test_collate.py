"""Tensors of a forward pass: equal to Hugging Face's features, keyed by utterance alone."""

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import collate
from mms_dist.data.randomness import random_key
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.model.waveform import normalised
from shards.schema import frames_of


def utterance(samples: int, *, language: str = "ron", row: int = 0, epoch: int = 0, seed: int = 0) -> Utterance:
    generator = np.random.default_rng(seed)
    audio = np.clip(generator.normal(40, 3_000, samples), -32_768, 32_767).astype(np.int16)
    labels = generator.integers(4, 30, samples // 4_000).astype(np.int32)
    where = UtteranceId(language, "train", row)
    return Utterance(id=where, key="a", epoch=epoch, audio=audio, labels=labels, text="text", frames=frames_of(samples))


def mixed() -> list[Utterance]:
    return [utterance(n, row=n, seed=n, language=code) for n, code in ((16_000, "ron"), (40_123, "ita"))]


def test_audio_equals_the_hugging_face_feature_extractor() -> None:
    utterances = [*mixed(), utterance(400, seed=9)]
    utterances[2].audio[:] = 7  # no variance at all
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    expected = extractor(
        [item.audio.astype(np.float32) / 32_768 for item in utterances],
        sampling_rate=16_000,
        padding=True,
        return_tensors="pt",
    )
    batch = collate(utterances, seed=0)
    audio_BS = normalised(batch.audio_BS, batch.samples_B)
    assert batch.audio_BS.dtype == torch.int16 and audio_BS.dtype == torch.float32
    torch.testing.assert_close(audio_BS, expected["input_values"], rtol=0, atol=1e-6)
    assert torch.equal(batch.samples_B, expected["attention_mask"].sum(1).long())


def test_an_utterance_does_not_depend_on_what_it_is_padded_with() -> None:
    alone, together = collate(mixed()[:1], seed=0), collate(mixed(), seed=0)
    assert torch.equal(alone.audio_BS[0], together.audio_BS[0, :16_000])
    assert alone.audio_BS[0].numpy().tolist() == mixed()[0].audio.tolist()
    assert not together.audio_BS[0, 16_000:].any()
    assert torch.equal(alone.keys_B, together.keys_B[:1])


def test_labels_and_lengths_are_those_of_the_utterances() -> None:
    utterances = mixed()
    batch = collate(utterances, seed=0)
    assert batch.languages == ["ron", "ita"]
    assert batch.frames_B.tolist() == [49, 125]
    assert batch.label_lengths_B.tolist() == [4, 10]
    assert batch.labels_BL.shape == (2, 10)
    assert batch.labels_BL[0].tolist() == [*utterances[0].labels.tolist(), 0, 0, 0, 0, 0, 0]
    assert batch.labels_BL.dtype == batch.keys_B.dtype == batch.frames_B.dtype == torch.int64


def test_the_random_stream_of_an_utterance_is_that_of_its_place_and_epoch() -> None:
    again = [utterance(16_000, row=row, epoch=epoch) for row in range(3) for epoch in range(3)]
    batch = collate(again, seed=5)
    assert batch.keys_B.tolist() == [random_key(5, item.id, item.epoch) for item in again]
    assert len(set(batch.keys_B.tolist())) == 9
