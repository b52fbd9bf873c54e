"""The three training phases of the base, limited by wall-clock time.

A: train everything with cross-entropy on the synthesiser's own alignments (CTC alone stalls for a long time).
B: freeze the front end; CTC on synthetic and recorded speech.
C: train all but the lower convolutions; CTC, mostly on recorded speech.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tools.tiny_mms.augmentation import augmented, time_mask
from tools.tiny_mms.batches import SpeechBatch, endless
from tools.tiny_mms.corpus import RECORDED, SYNTHETIC
from tools.tiny_mms.network import PhoneRecognizer, ctc_loss, frame_loss
from tools.tiny_mms.store import SpeechStore

_CLIPPED_NORM = 1.0
_WARM_UP = 0.05  # fraction of a phase
_LAST_RATE = 0.05  # fraction of the peak learning rate
_MASKED_FRACTION = 0.1


@dataclass(frozen=True)
class Phase:
    """One phase: ``share`` of the total time, ``recorded`` fraction of the utterances, peak learning rates.

    The upper ``learning_convolutions`` of the front end's seven are trained; the lower ones run at up to 3,200 frames
    per second and are most of its cost.
    """

    name: str
    share: float
    recorded: float
    frame_targets: bool
    learning_convolutions: int
    matrix_rate: float
    other_rate: float


PHASES = (
    Phase("A", 0.30, 0.0, True, 7, 6e-3, 2e-3),
    Phase("B", 0.10, 0.5, False, 0, 4e-3, 1e-3),
    Phase("C", 0.60, 0.7, False, 4, 5e-3, 1.5e-3),
)


@dataclass(frozen=True)
class Budget:
    """When training ends: after ``seconds``, or when each phase has taken ``steps_limit`` steps."""

    seconds: float
    batch_seconds: float
    steps_limit: int | None = None
    seed: int = 0


def optimizers(model: PhoneRecognizer, phase: Phase) -> list[torch.optim.Optimizer]:
    """Return Muon (Jordan et al. 2024) for the encoder's matrices, and AdamW for everything else."""
    inside = {id(p) for p in model.base.encoder.layers.parameters() if p.ndim == 2}
    convolutions = model.base.feature_extractor.conv_layers
    for number, layer in enumerate(convolutions):
        layer.requires_grad_(number >= len(convolutions) - phase.learning_convolutions)
    learning = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in learning if id(p) in inside]
    others = [p for p in learning if id(p) not in inside]
    return [
        torch.optim.Muon(matrices, lr=phase.matrix_rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=phase.other_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def rate_at(progress: float) -> float:
    """Return the learning rate as a fraction of its peak: linear warm-up, then linear decay."""
    if progress < _WARM_UP:
        return max(progress / _WARM_UP, 0.02)
    return 1.0 - (1.0 - _LAST_RATE) * min((progress - _WARM_UP) / (1.0 - _WARM_UP), 1.0)


def loss_of(model: PhoneRecognizer, batch: SpeechBatch, phase: Phase, generator: torch.Generator) -> Tensor:
    """Return the phase's loss of one batch, augmented and masked."""
    audio_BT = augmented(batch.audio_BT, batch.samples_B, generator)
    frames_B = model.frames_B(batch.samples_B)
    masked_BF = time_mask(frames_B, _MASKED_FRACTION, generator)
    with torch.autocast("cpu", torch.bfloat16):
        logits_BFV = model(model.front_end(audio_BT), frames_B, masked_BF)
    if phase.frame_targets:
        return frame_loss(logits_BFV, batch.classes_BF)
    return ctc_loss(logits_BFV, frames_B, batch.labels_BL, batch.lengths_B)


def train_phase(
    model: PhoneRecognizer,
    store: SpeechStore,
    phase: Phase,
    budget: Budget,
    report: Callable[[Phase, int, float, float, float], None],
) -> float:
    """Train for the phase's share of the budget.

    Without recordings in the corpus, the phase uses only synthetic speech.

    ``report`` is called with (phase, step, progress 0 … 1, loss, seconds of audio so far) after each step.
    Returns the seconds of audio trained on.
    """
    phase_optimizers = optimizers(model, phase)
    peaks = [group["lr"] for optimizer in phase_optimizers for group in optimizer.param_groups]
    groups = [group for optimizer in phase_optimizers for group in optimizer.param_groups]
    recorded = phase.recorded if len(store.where(RECORDED)) else 0.0
    shares = {SYNTHETIC: 1.0 - recorded, RECORDED: recorded} if recorded else {SYNTHETIC: 1.0}
    generator = torch.Generator().manual_seed(budget.seed)
    started, audio_seconds = time.monotonic(), 0.0
    batches = endless(store, shares, budget.batch_seconds, budget.seed + ord(phase.name))
    for step in itertools.count(1):
        progress = (time.monotonic() - started) / (budget.seconds * phase.share)
        if progress >= 1.0 or (budget.steps_limit is not None and step > budget.steps_limit):
            return audio_seconds
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * rate_at(progress)
        batch = next(batches)
        loss = loss_of(model, batch, phase, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), _CLIPPED_NORM)
        for optimizer in phase_optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        audio_seconds += batch.seconds
        report(phase, step, progress, loss.item(), audio_seconds)
    raise AssertionError("itertools.count ended")
