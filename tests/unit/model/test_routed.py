"""Routing: every utterance of a mixed batch gets what Hugging Face computes for its language alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss, layer_norm
from transformers import Wav2Vec2ForCTC

from mms_dist.augment.masks import draw_masks
from mms_dist.augment.spec_augment import SpecAugment
from mms_dist.model.adapter import SCHEMES, RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.routed import ModelInput, RoutedModel
from shards.schema import frames_of
from tests.dropout_samples import keep_mask
from tests.packed import as_packed

VOCABULARIES = {"aaa": 9, "bbb": 17, "ccc": 12}
SLOTS = {"aaa": 4, "bbb": 0, "ccc": 2}
"""Neither in the order of the languages nor one after another: a slot taken for a place in a list is another's."""
GAPS = [1, 3, 5]
ADAPTER_PARTS = [f"{part}.{kind}" for part in ("norm", "linear_1", "linear_2") for kind in ("weight", "bias")]
SECONDS = [0.9, 0.4, 1.3, 0.7, 1.3]
LANGUAGES = ["aaa", "bbb", "ccc", "aaa", "bbb"]
LAYOUTS = pytest.mark.parametrize("layout", ["padded", "packed"])
PACKED_ORDER = [2, 1, 4, 3, 0]
"""Neither that of the slots nor of the padded rows; a language's utterances are neighbours."""


def perturbed(layout: RowLayout, size: int, language: str) -> dict[str, Tensor]:
    """A trained-looking adapter: no norm at 1, no bias at 0, and an up projection that matters."""
    random = torch.Generator().manual_seed(len(language) + size)
    start = initial_tensors(layout, size, scheme="mms", seed=0, language=language)
    return {
        name: tensor + torch.randn(tensor.shape, generator=random, dtype=torch.float64) * 0.2
        for name, tensor in start.items()
    }


@pytest.fixture(scope="module")
def base(small_base: Path) -> FrozenBase:
    return FrozenBase.load(str(small_base), dtype=torch.float64)


def adapters_of(base: FrozenBase, dim: int) -> dict[str, dict[str, Tensor]]:
    layout = RowLayout(len(base.layers), base.hidden, dim)
    return {language: perturbed(layout, size, language) for language, size in VOCABULARIES.items()}


def model_of(base: FrozenBase, adapters: dict[str, dict[str, Tensor]], dim: int) -> RoutedModel:
    layout = RowLayout(len(base.layers), base.hidden, dim)
    bank = AdapterBank(layout, slots=6, largest_vocabulary=max(VOCABULARIES.values()), dtype=torch.float64)
    for language, slot in SLOTS.items():
        bank.load(slot, adapters[language])
    bank.rows.detach()[GAPS] = float("nan")  # whoever reads another slot than its own will notice
    return RoutedModel(base, bank)


@pytest.fixture
def model(base: FrozenBase) -> RoutedModel:
    return model_of(base, adapters_of(base, 4), 4)


def mixed_audio() -> tuple[Tensor, list[int]]:
    random = torch.Generator().manual_seed(1)
    samples = [int(seconds * 16_000) for seconds in SECONDS]
    audio_BN = torch.zeros(len(samples), max(samples), dtype=torch.float64)
    for row, count in enumerate(samples):
        audio_BN[row, :count] = torch.randn(count, generator=random, dtype=torch.float64)
    return audio_BN, samples


def routed_batch(base: FrozenBase, languages: list[str] = LANGUAGES) -> ModelInput:
    audio_BN, samples = mixed_audio()
    frames = torch.tensor([frames_of(count) for count in samples])
    slots = torch.tensor([SLOTS[language] for language in languages])
    return ModelInput(base.features(audio_BN), frames, slots)


def logits_of(model: RoutedModel, batch: ModelInput, layout: str) -> Tensor:
    """Logits [B, T, V], in the order of the batch however the pass is laid out."""
    if layout == "padded":
        return model.logits(batch)
    packed = as_packed(model, batch, order=PACKED_ORDER)
    return model.device_logits(packed)[torch.argsort(torch.tensor(PACKED_ORDER))]


def reference(small_base: Path, adapter: dict[str, Tensor], dim: int) -> Wav2Vec2ForCTC:
    """Hugging Face's own model holding one language."""
    size = adapter["lm_head.bias"].numel()
    model = Wav2Vec2ForCTC.from_pretrained(
        small_base, adapter_attn_dim=dim, vocab_size=size, pad_token_id=0, dtype=torch.float64
    ).eval()
    assert set(model._get_adapters()) == set(adapter)
    model.load_state_dict({name: tensor.clone() for name, tensor in adapter.items()}, strict=False)
    return model


def labels_of(size: int, count: int) -> Tensor:
    return torch.arange(count) % (size - 5) + 5


@LAYOUTS
@pytest.mark.parametrize("dim", [1, 4, 16, 64, 256])
def test_logits_and_gradients_equal_hugging_faces_in_a_mixed_batch(
    small_base: Path, base: FrozenBase, dim: int, layout: str
) -> None:
    adapters = adapters_of(base, dim)
    model = model_of(base, adapters, dim)
    batch = routed_batch(base)
    audio_BN, samples = mixed_audio()
    lengths = torch.tensor([4, 2, 6, 3, 5])
    labels_BL = torch.zeros(len(samples), 6, dtype=torch.long)
    for row, (language, length) in enumerate(zip(LANGUAGES, lengths.tolist(), strict=True)):
        labels_BL[row, :length] = labels_of(VOCABULARIES[language], length)
    logits_BTV = logits_of(model, batch, layout)
    utterance_losses(logits_BTV, batch.frames_B, labels_BL, lengths).sum().backward()

    for language, slot in SLOTS.items():
        theirs = reference(small_base, adapters[language], dim)
        rows = [row for row, code in enumerate(LANGUAGES) if code == language]
        mask = torch.arange(audio_BN.shape[1]) < torch.tensor(samples)[rows, None]
        labels = labels_BL[rows].masked_fill(torch.arange(6) >= lengths[rows, None], -100)
        output = theirs(audio_BN[rows], attention_mask=mask.long(), labels=labels)
        log_probs_TBV = output.logits.log_softmax(-1).transpose(0, 1)  # their own loss rounds to float32 first
        loss = ctc_loss(log_probs_TBV, labels_BL[rows], batch.frames_B[rows], lengths[rows], reduction="mean")
        torch.testing.assert_close(output.loss, loss.float(), rtol=1e-5, atol=0)
        for place, row in enumerate(rows):
            frames = int(batch.frames_B[row])
            ours = logits_BTV[row, :frames, : VOCABULARIES[language]]
            torch.testing.assert_close(ours, output.logits[place, :frames], rtol=0, atol=1e-10)
        (loss * len(rows)).backward()  # the mean over utterances there, their sum here
        own_grads = model.bank.layout.from_row(model.bank.grads[slot, : model.bank.row_size(slot)])
        for name, parameter in theirs._get_adapters().items():
            torch.testing.assert_close(own_grads[name], parameter.grad, rtol=1e-8, atol=1e-10)
    assert (model.bank.grads[GAPS] == 0).all()


@LAYOUTS
def test_tokens_outside_a_vocabulary_have_probability_zero(base: FrozenBase, model: RoutedModel, layout: str) -> None:
    probabilities = logits_of(model, routed_batch(base), layout).float().softmax(-1)
    assert (probabilities[0, :, VOCABULARIES["aaa"] :] == 0).all()


@LAYOUTS
def test_the_tail_of_a_shorter_row_stays_zero_in_rows_and_gradients(
    base: FrozenBase, model: RoutedModel, layout: str
) -> None:
    logits_of(model, routed_batch(base), layout).log_softmax(-1)[..., :5].sum().backward()
    for slot in SLOTS.values():
        assert (model.bank.grads[slot, model.bank.row_size(slot) :] == 0).all()
        assert (model.bank.rows[slot, model.bank.row_size(slot) :] == 0).all()


@LAYOUTS
def test_nan_in_one_language_leaves_the_others_bit_identical(base: FrozenBase, model: RoutedModel, layout: str) -> None:
    batch = routed_batch(base)

    def gradients() -> Tensor:
        model.bank.grads.zero_()
        logits_of(model, batch, layout).log_softmax(-1)[..., :5].sum().backward()
        return model.bank.grads.clone()

    clean = gradients()
    model.bank.rows.detach()[SLOTS["ccc"]] = float("nan")
    poisoned = gradients()
    assert poisoned[SLOTS["ccc"]].isnan().any()
    others = [SLOTS["aaa"], SLOTS["bbb"], *GAPS]
    assert clean[others].abs().sum() > 0 and torch.equal(clean[others], poisoned[others])


def test_nothing_below_the_lowest_adapter_is_kept_or_differentiated(base: FrozenBase, model: RoutedModel) -> None:
    batch = routed_batch(base)
    features = batch.features_BTC
    valid = torch.ones(features.shape[:2], dtype=torch.bool)
    assert not features.requires_grad
    assert not base.layer(0, base.embed(features, valid, None, None), None).requires_grad
    before = base.fingerprint()
    model.logits(batch).sum().backward()
    assert all(parameter.grad is None for parameter in base.module.parameters())
    assert base.fingerprint() == before


@LAYOUTS
def test_activation_checkpointing_changes_no_gradient(base: FrozenBase, model: RoutedModel, layout: str) -> None:
    batch = routed_batch(base)
    logits_of(model, batch, layout)[..., :5].sum().backward()
    plain = model.bank.grads.clone()
    model.bank.grads.zero_()
    checkpointed = RoutedModel(base, model.bank, activation_checkpointing=True)
    logits_of(checkpointed, batch, layout)[..., :5].sum().backward()
    assert torch.equal(model.bank.grads, plain)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_an_initial_adapter_depends_on_seed_and_language_only(scheme: str) -> None:
    layout = RowLayout(2, 8, 4)
    first = layout.to_row(initial_tensors(layout, 7, scheme=scheme, seed=1, language="ron"))
    torch.manual_seed(99)
    assert torch.equal(first, layout.to_row(initial_tensors(layout, 7, scheme=scheme, seed=1, language="ron")))
    assert not torch.equal(first, layout.to_row(initial_tensors(layout, 7, scheme=scheme, seed=2, language="ron")))
    assert not torch.equal(first, layout.to_row(initial_tensors(layout, 7, scheme=scheme, seed=1, language="ita")))


def test_identity_starts_as_the_base(base: FrozenBase) -> None:
    layout = RowLayout(len(base.layers), base.hidden, 4)
    tensors = initial_tensors(layout, 7, scheme="identity", seed=0, language="ron")
    bank = AdapterBank(layout, slots=1, largest_vocabulary=7, dtype=torch.float64)
    bank.load(0, tensors)
    features_BTC = torch.randn(1, 30, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits_BTV = RoutedModel(base, bank).logits(ModelInput(features_BTC, torch.tensor([30]), torch.tensor([0])))
    hidden_BTH = base.embed(features_BTC, torch.ones(1, 30, dtype=torch.bool), None, None)
    for layer in range(len(base.layers)):
        hidden_BTH = base.layer(layer, hidden_BTH, None)
    expected_BTV = base.final_norm(hidden_BTH) @ tensors["lm_head.weight"].T
    torch.testing.assert_close(logits_BTV.detach(), expected_BTV, rtol=0, atol=1e-12)
    assert all((t != 0).any() for name, t in tensors.items() if "linear_1.weight" in name)


def test_a_row_is_the_whole_adapter_and_nothing_else() -> None:
    layout = RowLayout(2, 8, 4)
    tensors = initial_tensors(layout, 7, scheme="mms", seed=0, language="ron")
    row = layout.to_row(tensors)
    assert row.numel() == layout.row_size(7) == sum(tensor.numel() for tensor in tensors.values())
    back = layout.from_row(row)
    assert list(back) == layout.names()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def plain_logits(model: RoutedModel, batch: ModelInput, adapters: dict[str, dict[str, Tensor]]) -> list[Tensor]:
    """Of each utterance: DESIGN's formula written down, one language at a time, with masks as they are given."""
    base, masks = model.base, (batch.time_BT, batch.channel_BH)
    frames = batch.features_BTC.shape[1]
    valid_BT = torch.arange(frames) < batch.frames_B[:, None]
    hidden_BTH = base.embed(batch.features_BTC, valid_BT, *masks)
    for layer in range(len(base.layers)):
        hidden_BTH = base.layer(layer, hidden_BTH, valid_BT[:, None, None, :])
        outputs = []
        for row, language in enumerate(LANGUAGES):
            name = f"wav2vec2.encoder.layers.{layer}.adapter_layer"
            own = {part: adapters[language][f"{name}.{part}"] for part in ADAPTER_PARTS}
            normed_TH = layer_norm(hidden_BTH[row], (base.hidden,), own["norm.weight"], own["norm.bias"])
            narrow_TD = (normed_TH @ own["linear_1.weight"].T + own["linear_1.bias"]).relu()
            if batch.keys_B is not None and batch.dropout_B is not None:
                one = slice(row, row + 1)
                shape = torch.Size((1, *narrow_TD.shape))
                narrow_TD = (
                    narrow_TD * keep_mask(batch.keys_B[one], layer, shape, batch.dropout_B[one], torch.float64)[0]
                )
            outputs.append(hidden_BTH[row] + narrow_TD @ own["linear_2.weight"].T + own["linear_2.bias"])
        hidden_BTH = torch.stack(outputs)
    normed_BTH = base.final_norm(hidden_BTH)
    return [
        normed_BTH[row, : int(batch.frames_B[row])] @ adapters[code]["lm_head.weight"].T
        + adapters[code]["lm_head.bias"]
        for row, code in enumerate(LANGUAGES)
    ]


@LAYOUTS
@pytest.mark.parametrize("masked", [(), ("dropout",), ("time",), ("channel",), ("dropout", "time", "channel")])
def test_every_utterance_is_masked_by_its_own_draws_in_every_layer(
    base: FrozenBase, masked: tuple[str, ...], layout: str
) -> None:
    adapters = adapters_of(base, 4)
    model, batch = model_of(base, adapters, 4), routed_batch(base)
    plain = logits_of(model, batch, layout).detach()
    frames, keys = batch.features_BTC.shape[1], [101, 202, 303, 404, 505]
    spans = [(SpecAugment(0.3, 3, 0.3, 3),)] * len(keys)
    time_BT, channel_BH = draw_masks(keys, batch.frames_B.tolist(), spans, longest=frames, hidden=base.hidden)
    if "dropout" in masked:
        rates = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.6], dtype=torch.float64)
        batch = replace(batch, keys_B=torch.tensor(keys), dropout_B=rates)
    batch = replace(batch, time_BT=time_BT if "time" in masked else None)
    batch = replace(batch, channel_BH=channel_BH if "channel" in masked else None)
    logits_BTV = logits_of(model, batch, layout).detach()
    for row, expected in enumerate(plain_logits(model, batch, adapters)):
        own = (row, slice(int(batch.frames_B[row])), slice(VOCABULARIES[LANGUAGES[row]]))
        torch.testing.assert_close(logits_BTV[own], expected, rtol=0, atol=1e-9)
        is_dropped = "dropout" in masked and row != 1
        assert torch.equal(logits_BTV[own], plain[own]) != (is_dropped or "time" in masked or "channel" in masked)


def test_a_language_gives_the_same_in_whatever_slot_and_company(base: FrozenBase) -> None:
    adapters = adapters_of(base, 4)
    batch = routed_batch(base)
    layout = RowLayout(len(base.layers), base.hidden, 4)
    outputs = []
    for slots in ({"aaa": 4, "bbb": 0, "ccc": 2}, {"aaa": 0, "bbb": 5, "ccc": 1}, {"aaa": 3, "bbb": 2, "ccc": 4}):
        bank = AdapterBank(layout, slots=6, largest_vocabulary=17, dtype=torch.float64)
        for language, slot in slots.items():
            bank.load(slot, adapters[language])
        moved = replace(batch, slots_B=torch.tensor([slots[language] for language in LANGUAGES]))
        outputs.append(RoutedModel(base, bank).logits(moved).detach())
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=0, atol=1e-12)


def test_a_scrubbed_slot_holds_nothing_and_its_neighbours_keep_all(model: RoutedModel) -> None:
    model.bank.grads[:] = 1
    before = model.bank.rows.detach().clone()
    slot = SLOTS["ccc"]
    others = [SLOTS["aaa"], SLOTS["bbb"]]
    model.bank.scrub(slot)
    assert (model.bank.rows[slot] == 0).all() and (model.bank.grads[slot] == 0).all()
    assert model.bank.vocabulary_sizes[slot] == 0
    assert torch.equal(model.bank.rows[others], before[others]) and (model.bank.grads[others] == 1).all()
    assert [model.bank.vocabulary_sizes[other] for other in others] == [VOCABULARIES["aaa"], VOCABULARIES["bbb"]]


def test_spec_augment_is_a_function_of_the_utterance() -> None:
    spans = [(SpecAugment(0.3, 5, 0.2, 4),)] * 3
    alone, _ = draw_masks([7], [60], spans[:1], longest=60, hidden=32)
    mixed, channels = draw_masks([5, 7, 9], [90, 60, 20], spans, longest=90, hidden=32)
    assert alone is not None and mixed is not None and channels is not None
    assert torch.equal(alone[0], mixed[1, :60])
    assert not mixed[1, 60:].any() and not mixed[2, 20:].any()


def test_spec_augment_leaves_utterances_shorter_than_a_span_alone() -> None:
    time_BT, channels = draw_masks([3], [4], [(SpecAugment(0.9, 10, 0.0, 64),)], longest=10, hidden=32)
    assert time_BT is None and channels is None


def test_spec_augment_covers_about_the_share_asked_for() -> None:
    count = 400
    time_BT, _ = draw_masks(
        list(range(count)), [100] * count, [(SpecAugment(0.2, 10, 0, 1),)] * count, longest=100, hidden=8
    )
    assert time_BT is not None
    assert 0.15 < time_BT.double().mean() < 0.2  # overlaps make the share an upper bound


def test_dropout_is_a_function_of_utterance_layer_frame_and_channel() -> None:
    keys = torch.tensor([11, 22])
    rates = torch.tensor([0.4, 0.1])
    wide = keep_mask(keys, 3, torch.Size((2, 50, 16)), rates, torch.float32)
    narrow = keep_mask(keys[:1], 3, torch.Size((1, 30, 16)), rates[:1], torch.float32)
    assert torch.equal(wide[0, :30], narrow[0])
    assert not torch.equal(keep_mask(keys, 4, torch.Size((2, 50, 16)), rates, torch.float32), wide)
    assert abs((wide[0] == 0).float().mean() - 0.4) < 0.06 and abs((wide[1] == 0).float().mean() - 0.1) < 0.04
    assert torch.allclose(wide[0].max(), torch.tensor(1 / 0.6))


def test_logits_of_a_base_in_bfloat16_are_float32(small_base: Path) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.bfloat16)
    logits_BTV = model_of(base, adapters_of(base, 4), 4).logits(routed_batch(base))
    assert logits_BTV.dtype == torch.float32
