"""Masks belong to an utterance, an epoch and a layer: the same wherever it is computed, and alike in no two of them."""

import numpy as np
import pytest
import torch

from mms_dist.augment.masks import draw_masks
from mms_dist.augment.spec_augment import SpecAugment
from mms_dist.data.randomness import random_key
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.model.dropout import DropoutMasks
from tests.dropout_samples import keep_mask

FRAMES, WIDTH = 40, 32
LONG_FRAMES, LONG_WIDTH = 1_500, 256  # half a minute in a wide adapter


def kept(key: int, layer: int, frames: int = FRAMES, width: int = WIDTH) -> np.ndarray:
    """Which elements dropout keeps, as -1 and 1, in the order of memory."""
    half = torch.tensor([0.5], dtype=torch.float64)
    mask_BTD = keep_mask(torch.tensor([key]), layer, torch.Size((1, frames, width)), half, torch.float64)
    return np.where(mask_BTD.flatten().numpy() > 0, 1.0, -1.0)


def keys(*epochs: int, rows: int = 1) -> list[int]:
    return [random_key(0, UtteranceId("ron", "train", row), epoch) for row in range(rows) for epoch in epochs]


def likeness(left: np.ndarray, right: np.ndarray) -> float:
    """The largest correlation of two masks over all shifts of one against the other."""
    product = np.fft.ifft(np.fft.fft(left) * np.conj(np.fft.fft(right))).real / len(left)
    return float(np.abs(product).max())


def test_no_layers_dropout_is_a_shifted_copy_of_anothers() -> None:
    masks = [kept(keys(0)[0], layer, LONG_FRAMES, LONG_WIDTH) for layer in (0, 1, 2, 3, 47)]
    worst = max(likeness(left, right) for number, left in enumerate(masks) for right in masks[:number])
    assert worst < 0.02  # chance gives up to about five over the root of the number of elements
    assert likeness(masks[0], np.roll(masks[0], 777)) == pytest.approx(1)


def test_no_utterances_or_epochs_dropout_is_a_shifted_copy_of_anothers() -> None:
    masks = [kept(key, 0) for key in keys(0, 1, 2, rows=10)]
    worst = max(likeness(left, right) for number, left in enumerate(masks) for right in masks[:number])
    assert worst < 0.25


def test_dropout_depends_on_frame_and_channel_and_is_no_pattern() -> None:
    mask_TD = kept(keys(0)[0], 3).reshape(FRAMES, WIDTH)
    assert len({tuple(row) for row in mask_TD}) == FRAMES
    assert len({tuple(column) for column in mask_TD.T}) == WIDTH
    spectrum = np.abs(np.fft.fft(mask_TD.flatten())) / np.sqrt(mask_TD.size)
    assert spectrum.max() < 5


def test_dropout_is_fixed_for_ever() -> None:
    rates = torch.tensor([0.5, 0.25])
    keys_B = torch.tensor([2179726783200716702, 6378880689512387721])
    masks = [keep_mask(keys_B, layer, torch.Size((2, 2, 8)), rates, torch.float32) for layer in (0, 11)]
    bits = [["".join("01"[int(x > 0)] for x in row.flatten()) for row in mask] for mask in masks]
    assert bits == [["0011011001110100", "0111101111111111"], ["0001101101011111", "0011111111111111"]]
    assert set(masks[0][0].flatten().tolist()) == {0.0, 2.0}
    assert set(masks[0][1].flatten().tolist()) <= {0.0, float(torch.tensor(1 / 0.75))}


def test_dropout_is_that_of_unsigned_32_bit_arithmetic() -> None:
    """Written down in Python's integers, which never wrap by themselves: whatever wraps otherwise is wrong."""
    most = 1 << 32

    def mix(bits: int) -> int:
        bits = (bits ^ bits >> 16) * 0x7FEB352D % most
        bits = (bits ^ bits >> 15) * 0x846CA68B % most
        return bits ^ bits >> 16

    def is_kept(key: int, layer: int, frame: int, channel: int, rate: float) -> bool:
        low, high = key % most, key >> 32
        words = []
        for half, other in ((low, high), (high, low)):
            state = mix(mix((half + frame * 0x3C6EF372) % most) ^ other)
            words.append(mix((state + layer * 0x1B873593) % most))
        bits = (words[1] + words[0] * mix((channel + 1) * 0x5851F42D % most)) % most
        bits = (bits + 2 * bits * bits) % most
        return (bits - most if bits >= most // 2 else bits) >= int(rate * most) - most // 2

    key, rate = keys(0)[0], 0.3
    for layer in (0, 23):
        mask_BTD = keep_mask(torch.tensor([key]), layer, torch.Size((1, 50, 16)), torch.tensor([rate]), torch.float32)
        exact = float(torch.tensor(rate))  # a rate in float32 is another number
        expected = [[is_kept(key, layer, frame, channel, exact) for channel in range(16)] for frame in range(50)]
        assert (mask_BTD[0] > 0).tolist() == expected


def test_dropout_is_the_same_however_the_frames_lie() -> None:
    keys_B, lengths = torch.tensor(keys(0, rows=3)), (5, 9, 2)
    rates_B = torch.tensor([0.5, 0.1, 0.0])
    numbers_N = torch.cat([torch.arange(length) for length in lengths])
    owner_N = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    packed = DropoutMasks.draw(
        keys_B[owner_N], numbers_N, rates_B[owner_N], layers=4, channels=6, width=8, dtype=torch.float32
    ).of_layer(3)
    padded_BTD = keep_mask(keys_B, 3, torch.Size((3, 9, 6)), rates_B, torch.float32)
    assert torch.equal(
        packed[:, :6], torch.cat([row[:length] for row, length in zip(padded_BTD, lengths, strict=True)])
    )
    assert (packed[:, 6:] == 1).all()


def test_channels_and_frames_are_dropped_independently() -> None:
    """Pairs and triples of channels, and the number dropped in a frame, are as if each were drawn by itself."""
    rate, width = 0.2, 64
    rates = torch.full((20,), rate, dtype=torch.float64)
    mask = keep_mask(torch.tensor(keys(0, rows=20)), 2, torch.Size((20, 1_000, width)), rates, torch.float32)
    dropped_ND = (mask.flatten(0, 1) == 0).double()
    scores_ND = (dropped_ND - rate) / (rate * (1 - rate)) ** 0.5
    frames = len(scores_ND)
    pairs = (scores_ND.T @ scores_ND).fill_diagonal_(0) / frames**0.5
    triples = (scores_ND * scores_ND.roll(1, 1) * scores_ND.roll(7, 1)).sum(0) / frames**0.5
    assert pairs.abs().max() < 5 and triples.abs().max() < 5
    assert float(dropped_ND.sum(1).var()) == pytest.approx(width * rate * (1 - rate), rel=0.05)


def test_dropout_keeps_the_mean_and_drops_the_share_asked_for() -> None:
    for rate in (0.0, 0.1, 0.5, 0.9):
        rates = torch.full((200,), rate, dtype=torch.float64)
        mask = keep_mask(torch.tensor(keys(0, rows=200)), 1, torch.Size((200, 20, 16)), rates, torch.float64)
        assert float((mask == 0).double().mean()) == pytest.approx(rate, abs=0.01)
        assert float(mask.mean()) == pytest.approx(1.0, abs=0.05)


def test_spec_augment_is_fixed_for_ever() -> None:
    spans = [(SpecAugment(0.3, 3, 0.25, 2),)] * 2
    time_BT, channel_BH = draw_masks(keys(0, 1), [20, 14], spans, longest=20, hidden=16)
    assert time_BT is not None and channel_BH is not None
    assert [torch.nonzero(row).flatten().tolist() for row in time_BT] == [[5, 6, 7, 10, 11, 12], [6, 7, 8, 9, 10]]
    assert [torch.nonzero(row).flatten().tolist() for row in channel_BH] == [[2, 3, 6, 7], [5, 6, 7, 8]]


def test_spec_augment_differs_between_epochs_and_utterances() -> None:
    many = keys(*range(6), rows=6)
    time_BT, channel_BH = draw_masks(many, [80] * 36, [(SpecAugment(0.3, 4, 0.3, 4),)] * 36, longest=80, hidden=64)
    assert time_BT is not None and channel_BH is not None
    assert len({tuple(row) for row in time_BT.tolist()}) == len({tuple(row) for row in channel_BH.tolist()}) == 36


def test_time_and_channel_masks_of_an_utterance_are_drawn_apart() -> None:
    alone, nothing = draw_masks(keys(0), [60], [(SpecAugment(0.3, 4, 0.0, 4),)], longest=60, hidden=60)
    both, channels = draw_masks(keys(0), [60], [(SpecAugment(0.3, 4, 0.3, 4),)], longest=60, hidden=60)
    assert nothing is None and alone is not None and both is not None and channels is not None
    assert torch.equal(alone, both)
    assert not torch.equal(both, channels)


def test_each_utterance_is_masked_by_its_own_languages_settings() -> None:
    spans = [(SpecAugment(0.0, 4, 0.0, 4),), (SpecAugment(0.5, 4, 0.0, 4),), (SpecAugment(0.0, 4, 0.5, 4),)]
    time_BT, channel_BH = draw_masks(keys(0, rows=3), [60] * 3, spans, longest=60, hidden=32)
    assert time_BT is not None and channel_BH is not None
    assert time_BT.any(1).tolist() == [False, True, False]
    assert channel_BH.any(1).tolist() == [False, False, True]


def test_the_number_of_masked_spans_is_right_on_average() -> None:
    count = 2_000
    spans = [(SpecAugment(0.05, 10, 0.0, 1),)] * count  # 0.5 spans of 10 in 100 frames
    time_BT, _ = draw_masks(keys(0, rows=count), [100] * count, spans, longest=100, hidden=8)
    assert time_BT is not None
    assert set(time_BT.sum(1).tolist()) == {0, 10}
    assert float(time_BT.any(1).double().mean()) == pytest.approx(0.5, abs=0.04)


def test_a_span_may_begin_anywhere_it_fits() -> None:
    count = 2_000
    time_BT, _ = draw_masks(
        keys(0, rows=count), [12] * count, [(SpecAugment(0.9, 10, 0.0, 1),)] * count, longest=12, hidden=8
    )
    assert time_BT is not None
    firsts = {int(torch.nonzero(row)[0]) for row in time_BT if row.any()}
    lasts = {int(torch.nonzero(row)[-1]) for row in time_BT if row.any()}
    assert firsts == {0, 1, 2} and lasts == {9, 10, 11}
