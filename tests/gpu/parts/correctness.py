"""Losses and gradients of every way to compute a round, against float64 on the CPU and against Hugging Face's modules.

Legend: B utterances, S slots, R row length.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch
from tests.gpu.bases import State, check_configs, random_base, random_state
from tests.gpu.distance import relative
from tests.gpu.ours import DIM, Joint, Setting, adapters, settings_of
from tests.gpu.part import Part
from tests.gpu.recipe import ready
from tests.gpu.speech import name, round_of, utterances_of

VOCABULARIES = [40, 55, 33]
PASS_SECONDS = 8.0
"""So that a round is several passes."""
DRAWN: dict[str, Any] = {"forward_seconds": PASS_SECONDS, "dropout": 0.3, "time_prob": 0.1}
"""Dropout and masked spans too: a single one that is not the reference's would be far out of bounds."""
NOISE = 0.1
"""On the adapters, which would hardly do anything where they begin."""
BOUNDS = {torch.float32: (2e-5, 2e-4), torch.bfloat16: (3e-2, 8e-2)}
"""Of losses and of gradients, relative, by precision of the base; rows are never below float32."""
CPU = torch.device("cpu")


def run(part: Part) -> None:
    batches = round_of(3, 1.5 if part.smoke else 4.0, median=1.2, seed=5)
    shapes = check_configs(tiny=part.smoke)
    for shape, config in shapes.items():
        state = random_state(config)
        reference = computed(config, state, torch.float64, CPU, batches, Setting(**DRAWN))
        for dtype, bounds in BOUNDS.items():
            # Half a minute for each kind of weights on a GPU: once is enough to see that compiled layers are right.
            compiled = dtype is torch.bfloat16 and shape == next(iter(shapes))
            for setting in settings_of(dtype, part.device, compiled=compiled, **DRAWN):
                what = f"{shape}, {_short(dtype)}, {setting}"
                try:
                    losses_B, grads_SR = computed(config, state, dtype, part.device, batches, setting)
                except RuntimeError as error:
                    if not setting.compiled:
                        raise
                    # Most likely a pass fits no graph: see `Joint.accumulate`. What comes after can still be checked.
                    part.record.holds(f"every pass fits a compiled graph, {what}", False, str(error)[:1000])
                    continue
                part.record.check(f"losses, {what}", relative(losses_B, reference[0]), at_most=bounds[0])
                part.record.check(f"gradients, {what}", relative(grads_SR, reference[1]), at_most=bounds[1])
        against_hugging_face(part, shape, config, state, batches)


def computed(
    config: Any,
    state: State,
    dtype: torch.dtype,
    device: torch.device,
    batches: list[LoadedBatch],
    setting: Setting,
) -> tuple[Tensor, Tensor]:
    """Losses by language and gradients [S, R]."""
    base = random_base(config, dtype, device, state)
    joint = Joint(base, adapters(base, VOCABULARIES, noise=NOISE), setting)
    losses, grads_SR = joint.gradients(batches)
    return torch.tensor([losses[key] for key in sorted(losses)]), grads_SR.cpu()


def against_hugging_face(part: Part, shape: str, config: Any, state: State, batches: list[LoadedBatch]) -> None:
    """`Wav2Vec2ForCTC` with each language's adapter in turn, in float32 on the same device."""
    base = random_base(config, torch.float32, part.device, state)
    bank = adapters(base, VOCABULARIES, noise=NOISE)
    setting = Setting(forward_seconds=PASS_SECONDS).exact()
    losses, grads_SR = Joint(base, bank, setting).gradients(batches)
    for slot, size in enumerate(VOCABULARIES):
        theirs = hugging_face_model(config, size, state, part.device)
        places = theirs._get_adapters()
        for key, tensor in bank.tensors(slot).items():
            places[key].data.copy_(tensor)
        batch = ready(utterances_of([batches[slot]]), part.device, torch.float32)
        loss = theirs(batch.audio_BS, attention_mask=batch.mask_BS, labels=batch.labels_BL).loss
        loss.backward()
        what = f"{shape}, language {slot}"
        off = abs(losses[name(slot)] - loss.item()) / loss.item()
        part.record.check(f"loss against Hugging Face, {what}", off, at_most=1e-5)
        flat_R = bank.layout.to_row({key: place.grad for key, place in places.items()})
        off = relative(grads_SR[slot, : flat_R.numel()], flat_R)
        part.record.check(f"gradients against Hugging Face, {what}", off, at_most=1e-4)


def hugging_face_model(config: Any, vocabulary: int, state: State, device: torch.device) -> Any:
    """Theirs with those weights, in float32."""
    from transformers import Wav2Vec2ForCTC

    config = copy.deepcopy(config)
    config.adapter_attn_dim, config.vocab_size, config._attn_implementation = DIM, vocabulary, "sdpa"
    config.ctc_loss_reduction, config.ctc_zero_infinity = "mean", True
    model = Wav2Vec2ForCTC(config).to(device).eval()
    model.wav2vec2.load_state_dict({key: tensor.to(device) for key, tensor in state.items()}, strict=False)
    return model


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
