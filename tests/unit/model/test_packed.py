"""A packed pass: what an utterance gives does not depend on where it lies, on its neighbours, or on filler."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from mms_dist.features.packed_features import one_recording
from mms_dist.model import packed_attention as segments
from mms_dist.model import packed_frames
from mms_dist.model.base import FrozenBase
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.packed_attention import Segments
from mms_dist.model.packed_frames import PackedFrames, gapped_positions, positions_one_by_one
from mms_dist.model.packed_tables import (
    BLOCK,
    STRIDE,
    PackedTables,
    end_to_end,
    packed_tables,
    recording_of,
    samples_seen,
)
from mms_dist.model.routed import DeviceInput, ModelInput, RoutedModel
from mms_dist.model.waveform import _at_once, moments, normalised_pieces
from shards.schema import frames_of
from tests.packed import as_packed, packed_size
from tests.unit.model.test_routed import SLOTS, adapters_of, model_of

FRAMES = [44, 1, 130, 64, 65, 7]
OWNERS = ["bbb", "bbb", "bbb", "aaa", "ccc", "ccc"]
SIZE = 512


@pytest.fixture(scope="module")
def base(small_base: Path) -> FrozenBase:
    return FrozenBase.load(str(small_base), dtype=torch.float64)


@pytest.fixture
def model(base: FrozenBase) -> RoutedModel:
    return model_of(base, adapters_of(base, 4), 4)


def padded_batch(base: FrozenBase) -> ModelInput:
    random = torch.Generator().manual_seed(3)
    features_BTC = torch.randn(len(FRAMES), max(FRAMES), 16, generator=random, dtype=torch.float64)
    slots_B = torch.tensor([SLOTS[code] for code in OWNERS])
    return ModelInput(features_BTC, torch.tensor(FRAMES), slots_B)


def tables_of(frames: list[int] = FRAMES, *, size: int = SIZE, gap: int = 64) -> PackedTables:
    strips = np.array([0, 0, 0, 1, 2, 2])[: len(frames)]
    return packed_tables(np.array(frames), strips, size=size, gap=gap)


ROUNDS = st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(round=ROUNDS, size=st.sampled_from([64, 512, 1600]))
def test_every_frame_has_one_place_and_filler_the_strip_before_it(round: list[tuple[int, bool]], size: int) -> None:
    frames_B = np.array([frames for frames, _ in round])
    strip_B = np.cumsum([0, *[begins for _, begins in round[1:]]])
    tables = packed_tables(frames_B, strip_B, size=size, gap=64)
    assert tables.size % BLOCK == 0 and tables.size >= packed_size(frames_B, strip_B)
    assert tables.size == size or packed_size(frames_B, strip_B) > size
    for number, (first, frames) in enumerate(zip(tables.first_B, frames_B, strict=True)):
        own = slice(first, first + frames)
        assert (tables.utterance_N[own] == number).all()
        assert tables.index_N[own].tolist() == list(range(frames))
        assert tables.logits_BT[number].tolist() == [first + min(t, frames - 1) for t in range(frames_B.max())]
    # A block has frames of one strip only, and filler repeats the frame before it.
    assert (strip_B[tables.utterance_N].reshape(-1, BLOCK) == tables.strip_R[:, None]).all()
    assert (tables.first_B[tables.utterance_U] % BLOCK == 0).all()
    assert strip_B[tables.utterance_U].tolist() == list(range(strip_B[-1] + 1))
    assert len(set(zip(tables.utterance_N, tables.index_N, strict=True))) == frames_B.sum()
    for rows_N in (tables.rows(end_to_end(frames_B)), tables.gapped_N):
        assert len(set(rows_N.tolist())) == frames_B.sum()
    # Sequences cover every frame; those that are no filler are the utterances.
    assert tables.sequences_S1[0] == 0 and tables.sequences_S1[-1] == tables.size
    whole = tables.lengths_S[~tables.is_filler_S]
    assert whole.tolist() == frames_B.tolist() and tables.sequences_S1[:-1][~tables.is_filler_S].tolist() == (
        tables.first_B.tolist()
    )
    assert (tables.lengths_S > 0).all() and (tables.lengths_S[tables.is_filler_S] <= BLOCK).all()
    # Neighbours are 64 zero rows apart in the positional convolution, and end within it.
    starts, ends = tables.gapped_N[tables.first_B], tables.gapped_N[tables.first_B + frames_B - 1]
    assert (starts[1:] - ends[:-1] == 65).all() and ends[-1] < tables.gapped_rows


LENGTHS = ((9, 0), (1, 319), (30, 7), (2, 319))
"""Frames, and samples more than the fewest that give so many."""


def test_one_long_recording_gives_utterances_the_features_they_have_alone(base: FrozenBase) -> None:
    random = np.random.default_rng(0)
    audio = [random.integers(-9_000, 9_000, 80 + 320 * frames + more) for frames, more in LENGTHS]
    frames = frames_of(np.array([len(each) for each in audio]))
    recording = recording_of(frames, SIZE)
    row_S = one_recording(audio, recording.first_M * STRIDE, samples_seen(frames), recording.samples).astype(float)
    features_FC = base.features(torch.from_numpy(row_S)[None])[0]
    assert len(features_FC) == recording.frames
    for each, first, count in zip(audio, recording.first_M, frames, strict=True):
        alone_TC = base.features(torch.from_numpy(each.astype(float))[None])[0]
        assert len(alone_TC) == count
        torch.testing.assert_close(features_FC[first : first + count], alone_TC, rtol=1e-12, atol=1e-12)
    # What is not a number in one reaches no frame of another.
    row_S[recording.first_M[1] * STRIDE :][: samples_seen(frames)[1]] = np.nan
    sick_FC = base.features(torch.from_numpy(row_S)[None])[0]
    for number, (first, count) in enumerate(zip(recording.first_M, frames, strict=True)):
        own = slice(first, first + count)
        assert sick_FC[own].isnan().all() if number == 1 else torch.equal(sick_FC[own], features_FC[own])


def test_a_long_recording_is_normalised_like_utterances_of_a_padded_pass() -> None:
    random = np.random.default_rng(0)
    samples = [80 + 320 * frames + more for frames, more in LENGTHS]
    audio = [random.integers(-300, 9_000, each).astype(np.int16) for each in samples]
    frames = frames_of(np.array(samples))
    recording = recording_of(frames, SIZE)
    pieces = recording.frames + 1
    row_S = one_recording(audio, recording.first_M * STRIDE, samples_seen(frames), pieces * STRIDE)
    utterance_X = np.searchsorted(recording.first_M, np.arange(pieces), side="right") - 1
    inputs = row_S.reshape(pieces, STRIDE), moments(audio), utterance_X
    found_S = normalised_pieces(*map(torch.from_numpy, inputs)).flatten()
    padded_BS = np.zeros((len(audio), max(samples)), np.int16)
    for own_S, each in zip(padded_BS, audio, strict=True):
        own_S[: len(each)] = each
    expected_BS = _at_once(torch.from_numpy(padded_BS), torch.tensor(samples))
    for row, (first, seen) in enumerate(zip(recording.first_M * STRIDE, samples_seen(frames), strict=True)):
        assert torch.equal(found_S[first : first + seen], expected_BS[row, :seen])


@pytest.mark.parametrize("kernel", [16, 128])
def test_positions_with_gaps_are_those_of_every_utterance_alone(kernel: int) -> None:
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2PositionalConvEmbedding

    from tests.conftest import small_base_config

    config = small_base_config(num_conv_pos_embeddings=kernel)
    torch.manual_seed(0)
    convolution = Wav2Vec2PositionalConvEmbedding(config).double().eval().requires_grad_(False)

    class Base:
        positions = staticmethod(convolution)

    tables = tables_of(gap=kernel // 2)
    tensors = PackedFrames.to_send(tables, end_to_end(tables.frames_B))
    frames = PackedFrames.of(tables, tensors)
    hidden_NH = torch.randn(tables.size, 32, dtype=torch.float64)[tensors["features of frames"]]
    gapped_NH = gapped_positions(frames, Base, hidden_NH)  # type: ignore[arg-type]
    single_NH = positions_one_by_one(frames, Base, hidden_NH)  # type: ignore[arg-type]
    for first, count in zip(tables.first_B, FRAMES, strict=True):
        own = slice(first, first + count)
        alone_TH = convolution(hidden_NH[None, own])[0]
        torch.testing.assert_close(gapped_NH[own], alone_TH, rtol=0, atol=1e-12)
        torch.testing.assert_close(single_NH[own], alone_TH, rtol=0, atol=1e-12)


def objective(model: RoutedModel, batch: DeviceInput) -> tuple[Tensor, Tensor]:
    """Logits and the bank's gradients of a sum of CTC losses."""
    model.bank.grads.zero_()
    logits_BTV = model.device_logits(batch)
    labels_BL, lengths_B = torch.full((len(FRAMES), 1), 5), torch.ones(len(FRAMES), dtype=torch.long)
    utterance_losses(logits_BTV, torch.tensor(FRAMES), labels_BL, lengths_B).sum().backward()
    return logits_BTV.detach(), model.bank.grads.clone()


@pytest.mark.parametrize("positions", [gapped_positions, positions_one_by_one])
@pytest.mark.parametrize("sick", range(len(FRAMES)))
def test_nan_in_one_utterance_reaches_no_other(
    base: FrozenBase, model: RoutedModel, monkeypatch: pytest.MonkeyPatch, sick: int, positions: object
) -> None:
    monkeypatch.setattr(packed_frames, "positions_one_by_one", positions)
    batch = as_packed(model, padded_batch(base), order=range(len(FRAMES)))
    clean, clean_grads = objective(model, batch)
    first = sum(FRAMES[:sick])
    features_FC = batch.features.clone()
    features_FC[first : first + FRAMES[sick]] = float("nan")
    found, grads = objective(model, replace(batch, features=features_FC))
    for row in range(len(FRAMES)):
        own = found[row, : FRAMES[row]]
        assert own.isnan().any() if row == sick else torch.equal(own, clean[row, : FRAMES[row]])
    for code, slot in SLOTS.items():
        assert grads[slot].isnan().any() if code == OWNERS[sick] else torch.equal(grads[slot], clean_grads[slot])


@pytest.mark.parametrize("columns", [1, 24], ids=["bias", "matrix"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_strips_bfloat16_gradient_is_summed_in_float32(columns: int, transposed: bool) -> None:
    strips = np.array([0, 1, 2])
    tables = packed_tables(np.array([64 * 40, 10, 64 * 3]), strips, size=64 * 50, gap=64)
    frames = PackedFrames.of(tables, PackedFrames.to_send(tables, end_to_end(tables.frames_B)))
    random = torch.Generator().manual_seed(0)
    given_RKX = torch.randn(50, BLOCK, 24, generator=random).bfloat16()
    grad_RKY = torch.randn(50, BLOCK, 16, generator=random).bfloat16()
    weight_UXY = torch.zeros(3, 16, 24).mT if transposed else torch.zeros(3, 24, 16)
    weight_UXY = weight_UXY.bfloat16().requires_grad_()
    bias_U1Y = torch.zeros(3, 1, 16, dtype=torch.bfloat16, requires_grad=True)
    bias_R1Y = frames.gather(bias_U1Y, frames.owner_R)
    frames.product(given_RKX, frames.gather(weight_UXY, frames.owner_R), bias_R1Y).backward(grad_RKY)
    left_RKX = torch.ones(50, BLOCK, 1) if columns == 1 else given_RKX
    found = bias_U1Y.grad if columns == 1 else weight_UXY.grad
    assert found is not None
    for strip, blocks in enumerate([slice(0, 40), slice(40, 41), slice(41, 44)]):
        exact_XY = left_RKX[blocks].flatten(0, 1).double().T @ grad_RKY[blocks].flatten(0, 1).double()
        torch.testing.assert_close(found[strip].double(), exact_XY, rtol=2**-8, atol=1e-4)


def test_filler_and_the_size_of_a_pass_change_nothing(base: FrozenBase, model: RoutedModel) -> None:
    padded = padded_batch(base)
    outputs = [
        objective(model, as_packed(model, padded, size=size, order=range(len(FRAMES)))) for size in (448, 512, 4096)
    ]
    for logits_BTV, grads in outputs[1:]:
        torch.testing.assert_close(logits_BTV, outputs[0][0], rtol=0, atol=1e-12)
        torch.testing.assert_close(grads, outputs[0][1], rtol=0, atol=1e-12)


def test_a_pass_gives_what_the_padded_one_gives(base: FrozenBase, model: RoutedModel) -> None:
    padded = padded_batch(base)
    expected, expected_grads = objective(model, model.on_device(padded))
    found, grads = objective(model, as_packed(model, padded, order=range(len(FRAMES))))
    for row, frames in enumerate(FRAMES):
        torch.testing.assert_close(found[row, :frames, :17], expected[row, :frames], rtol=0, atol=1e-12)
    torch.testing.assert_close(grads, expected_grads, rtol=0, atol=1e-11)


def test_an_utterance_longer_than_a_pass_gets_a_larger_one() -> None:
    tables = tables_of([700])
    assert 700 <= tables.size <= 512 + 256 and tables.size % BLOCK == 0


def test_passes_with_few_or_many_utterances_have_one_shape() -> None:
    shapes = set()
    for count in (1, 5, 10, 30):
        frames_B = np.full(count, 100)
        tables = packed_tables(frames_B, np.zeros(count, int), size=SIZE * 8, gap=64)
        shapes.add((tables.size, recording_of(frames_B, tables.size).samples, tables.gapped_rows))
    ((_, samples, _),) = shapes
    assert frames_of(samples) == frames_of(samples - 1) + 1 == samples // STRIDE


def test_attention_is_each_sequences_own() -> None:
    tables = tables_of()
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(tables.size, 2, 8, generator=random) for _ in range(3))
    tensors = PackedFrames.to_send(tables, end_to_end(tables.frames_B))
    found = PackedFrames.of(tables, tensors).attend.attend(query, key, value)
    for first, count in zip(tables.first_B, FRAMES, strict=True):
        own = slice(first, first + count)
        weights = torch.einsum("qae,kae->aqk", query[own], key[own]).div(8**0.5).softmax(-1)
        expected = torch.einsum("aqk,kae->qae", weights, value[own])
        torch.testing.assert_close(found[own], expected, rtol=0, atol=1e-5)


def test_the_gpus_kernel_gets_arguments_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU there is no kernel to run: the call is held against the signature of the installed torch."""
    signature = inspect.signature(varlen_attn)
    calls: list[dict[str, object]] = []

    class OnGpu:
        device = torch.device("cuda")

    def noted(*arguments: object, **options: object) -> None:
        calls.append(signature.bind(*arguments, **options).arguments)

    noted.__signature__ = signature  # type: ignore[attr-defined]
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", noted)
    segments._varlen.cache_clear()
    limits = torch.tensor([0, 3, 5], dtype=torch.int32)
    Segments(limits, 4, (3, 2), (False, False)).attend(OnGpu(), "key", "value")  # type: ignore[arg-type]
    segments._varlen.cache_clear()
    expected = {"key": "key", "value": "value", "cu_seq_q": limits, "cu_seq_k": limits, "max_q": 4, "max_k": 4}
    if "num_splits" in signature.parameters:
        expected["num_splits"] = 1
    assert {name: value for name, value in calls[0].items() if name != "query"} == expected
