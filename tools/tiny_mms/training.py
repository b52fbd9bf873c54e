"""Train the base by steps: what a step does depends on its number, the seed and the plan, not on the clock.

A training that was stopped goes on from its last checkpoint and ends with the same bits (same number of processes and
threads). Each process takes steps of its own on its own batches; after every few steps their weights are averaged
("local SGD", Stich 2019). Where other work shares the cores, that is several times as fast as one process of two
threads, which wait for each other in every product.

The rate of learning is constant after the warm-up; what is measured and exported is the average of the weights, which
stands for a falling rate. A last stretch with a falling rate (``decay_from``) is worth a little more.

Shapes: B utterances, T samples, F frames, V classes.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tools.tiny_mms.augmentation import normalized, respeeded, time_mask, varied
from tools.tiny_mms.mixture import ALIGNED_SOURCE, BATCHES_PER_BLOCK, Batch, Mixture, Plan, source_of
from tools.tiny_mms.network import PhoneRecognizer, ctc_loss, frame_loss

_CLIPPED_NORM = 1.0
_NEWTON_SCHULZ_STEPS = 3  # five cost 8 % of a step's time more


@dataclass(frozen=True, kw_only=True)
class Course:
    """How the base is trained. Steps count from 0.

    Up to ``aligned_steps``, utterances with alignment are learned frame by frame, because CTC alone stalls for long;
    half as long there are no others, and batches are half as large. After it, all are learned by CTC. From
    ``front_end_steps`` on the three lowest convolutions no longer learn. From ``decay_from`` on the rate falls
    linearly, to a hundredth at ``steps``. The processes average their weights after every ``meet_every`` steps.
    """

    steps: int
    matrix_rate: float = 4e-3
    other_rate: float = 1.2e-3
    warm_up_steps: int = 300
    batch_seconds: float = 64.0
    aligned_steps: int = 704
    front_end_steps: int = 1500
    decay_from: int | None = None
    masked_fraction: float = 0.1
    middle_weight: float = 0.3
    averaged_steps: int = 400
    meet_every: int = 10
    save_every: int = 100
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of ``step`` as a fraction of its peak."""
        if step < self.warm_up_steps:
            return (step + 1) / self.warm_up_steps
        if self.decay_from is None or step < self.decay_from:
            return 1.0
        return max((self.steps - step) / (self.steps - self.decay_from), 0.01)


def optimizers(model: PhoneRecognizer, course: Course) -> list[torch.optim.Optimizer]:
    """Return Muon (Jordan et al. 2024) for the encoder's matrices, and AdamW for everything else."""
    matrices = [weight for weight in model.base.encoder.layers.parameters() if weight.ndim == 2]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    steps, rule = _NEWTON_SCHULZ_STEPS, "match_rms_adamw"
    return [
        torch.optim.Muon(matrices, lr=course.matrix_rate, weight_decay=0.02, adjust_lr_fn=rule, ns_steps=steps),
        torch.optim.AdamW(others, lr=course.other_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def loss_of(model: PhoneRecognizer, batch: Batch, course: Course, step: int, rank: int = 0) -> Tensor:
    """Return the loss of one batch, augmented and masked as step ``step`` of process ``rank`` does."""
    generator = torch.Generator().manual_seed((course.seed + 7 * rank) * 1_000_003 + step)
    audio_BT, samples_B = normalized(batch.audio_BT, batch.samples_B), batch.samples_B
    aligned = step < course.aligned_steps
    if not aligned:
        speed = 0.9 + 0.2 * torch.rand((), generator=generator).item()
        audio_BT, samples_B = respeeded(audio_BT, samples_B, speed)
    audio_BT = varied(audio_BT, samples_B, generator)
    frames_B = model.frames_B(samples_B)
    masked_BF = time_mask(frames_B, course.masked_fraction, generator)
    with torch.autocast("cpu", torch.bfloat16):
        features_BFC = model.front_end(audio_BT)
        logits_BFV, middle_BFV = model.both_logits(features_BFC, frames_B, masked_BF[:, : features_BFC.shape[1]])
    loss = torch.zeros(())
    for weight, one_BFV in ((1.0, logits_BFV), (course.middle_weight, middle_BFV)):
        if aligned and bool((batch.classes_BF >= 0).any()):
            loss = loss + weight * frame_loss(one_BFV, batch.classes_BF)
            unaligned_B = (batch.classes_BF < 0).all(1)
            if bool(unaligned_B.any()):
                labels_BL, lengths_B = batch.labels_BL[unaligned_B], batch.lengths_B[unaligned_B]
                loss = loss + weight * ctc_loss(one_BFV[unaligned_B], frames_B[unaligned_B], labels_BL, lengths_B)
        else:
            loss = loss + weight * ctc_loss(one_BFV, frames_B, batch.labels_BL, batch.lengths_B)
    return loss


class Trainer:
    """The weights, their average and the optimizers of one training, in ``folder``."""

    def __init__(self, folder: Path, model: PhoneRecognizer, mixture: Mixture, course: Course) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.model, self.mixture, self.course = folder, model, mixture, course
        self.step, self.audio_seconds = 0, 0.0
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self._optimizers = optimizers(model, course)
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self._plan = Plan(folder / "plan.jsonl")
        self._block: tuple[int, list[Any]] = (-1, [])
        self._seconds = 0.0  # since the last meeting, of this process
        self._rank, self._ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def _path(self, rank: int) -> Path:
        return self.folder / (f"state-{rank}.pt" if rank else "state.pt")

    def save(self) -> None:
        """Write this process's checkpoint; the previous one stays until it is complete."""
        state = {
            "step": self.step,
            "audio_seconds": self.audio_seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        path = self._path(self._rank)
        staging = path.with_suffix(".incomplete")
        torch.save(state, staging)
        os.replace(staging, path)

    def load(self) -> None:
        """Go on from the last checkpoint, if there is one; a process without one takes the first process's."""
        if not self._path(0).exists():
            return
        state = torch.load(self._path(0), weights_only=True)
        if self._rank and self._path(self._rank).exists():
            own = torch.load(self._path(self._rank), weights_only=True)
            state = own if own["step"] == state["step"] else state
        self.step, self.audio_seconds, self.average = state["step"], state["audio_seconds"], state["average"]
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def averaged(self) -> PhoneRecognizer:
        """Return a copy of the model with the averaged weights."""
        copy = PhoneRecognizer(self.model.classifier.out_features, self.model.size)
        copy.load_state_dict(self.average)
        return copy.eval()

    def _batch(self) -> Batch:
        block, place = divmod(self.step * self._ranks + self._rank, BATCHES_PER_BLOCK)
        if self._block[0] != block:
            names = self._names(block)
            first_step, seconds = block * BATCHES_PER_BLOCK // self._ranks, self.course.batch_seconds
            if first_step < self.course.aligned_steps:
                seconds /= 2
            if first_step < self.course.aligned_steps // 2:
                names = [name for name in names if source_of(name) == ALIGNED_SOURCE]
            self._block = (block, self.mixture.block(block, names, seconds))
        return self.mixture.collate(self._block[1][place])

    def _names(self, block: int) -> list[str]:
        """Return the parts for ``block``, as the first process enters them in the plan."""
        told: list[list[str]] = [[]]
        if not self._rank:
            self._plan.enter(block, self.mixture.parts.complete())
            told = [self._plan.at(block)]
        if self._ranks > 1:
            dist.broadcast_object_list(told)
        return told[0]

    def _meet(self, stop: bool) -> bool:
        """Average the weights of all processes, then take them into the average over time.

        Returns:
            If any process was told to ``stop``.
        """
        told = torch.tensor([self._seconds, float(stop)])
        if self._ranks > 1:
            weights = [weight for weight in self.model.parameters() if weight.requires_grad]
            flat = torch.cat([told, *(weight.detach().flatten() for weight in weights)])
            dist.all_reduce(flat)
            told, *reduced = flat.split([len(told), *(weight.numel() for weight in weights)])
            with torch.no_grad():
                for weight, total in zip(weights, reduced, strict=True):
                    weight.copy_(total.view_as(weight) / self._ranks)
        self.audio_seconds, self._seconds = self.audio_seconds + told[0].item(), 0.0
        kept = (1.0 - 1.0 / self.course.averaged_steps) ** self.course.meet_every
        kept = min(kept, (self.step + 1) / (self.step + 10 * self.course.meet_every))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                self.average[name].lerp_(tensor, 1.0 - kept)
        return told[1].item() > 0

    def train_step(self) -> float:
        """Do one step on a batch of this process and return its loss."""
        course = self.course
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * course.rate(self.step)
        if self.step >= course.front_end_steps:
            self.model.base.feature_extractor.conv_layers[:3].requires_grad_(False)
        batch = self._batch()
        loss = loss_of(self.model, batch, course, self.step, self._rank)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), _CLIPPED_NORM)
        for optimizer in self._optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        self._seconds += batch.seconds
        return float(loss.detach())

    def train(
        self,
        every_steps: int,
        report: Callable[["Trainer"], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the end of the course, or until ``stopped`` says so, and save.

        The first process calls ``report`` after every ``every_steps`` steps, which the processes meet after, and after
        the last step of the course.
        """
        printed = time.monotonic()
        losses: list[float] = []
        printed_audio = self.audio_seconds
        stop = False
        while self.step < self.course.steps and not stop:
            losses.append(self.train_step())
            if self.step % self.course.meet_every and self.step < self.course.steps:
                continue
            stop = self._meet(stopped())
            now = time.monotonic()
            if now - printed >= 60.0 and not self._rank:
                factor = (self.audio_seconds - printed_audio) / (now - printed)
                mean = sum(losses) / len(losses)
                line = {
                    "step": self.step,
                    "loss": round(mean, 4),
                    "hours": round(self.audio_seconds / 3600, 2),
                    "real_time": round(factor, 1),
                }
                print(json.dumps(line), flush=True)
                printed, losses, printed_audio = now, [], self.audio_seconds
            if not self._rank and (self.step % every_steps == 0 or self.step == self.course.steps):
                report(self)
            if stop or self.step == self.course.steps or self.step % self.course.save_every == 0:
                self.save()
