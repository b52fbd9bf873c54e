"""What is not the encoder: CTC, the optimizer, dropout masks, and collectives in a world of one.

Legend: B utterances, T frames, V vocabulary, L labels, D channels.
"""

import torch
from torch import Tensor

from mms_dist.config import Optim
from mms_dist.model.bank import AdapterBank
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.layout import RowLayout
from mms_dist.model.randomness import keep_mask
from mms_dist.training.optimizer import RowAdamW, RowStep
from tests.gpu.collectives import look_at_collectives
from tests.gpu.distance import relative
from tests.gpu.part import Part

CPU = torch.device("cpu")
CTC_CASES = ((50, 33, (49, 50, 60, 1)), (1500, 300, (400, 300, 10, 1)), (7, 1200, (3, 7, 2, 1)))
"""Frames, vocabulary, labels of four utterances: some do not fit, one has a single frame, one vocabulary is wide."""
STEPS = 5


def run(part: Part) -> None:
    for frames, vocabulary, lengths in CTC_CASES[: 1 if part.smoke else None]:
        ctc(part, frames, vocabulary, list(lengths))
    optimizer(part)
    dropout(part)
    look_at_collectives(part, rank=0, world=1, host="127.0.0.1", port=0)


def ctc(part: Part, frames: int, vocabulary: int, lengths: list[int]) -> None:
    """Losses and gradients against float64 on the CPU."""
    random = torch.Generator().manual_seed(1)
    logits_BTV = torch.randn(4, frames, vocabulary, dtype=torch.float64, generator=random)
    labels_BL = torch.randint(1, vocabulary, (4, max(lengths)), generator=random)
    frames_B, lengths_B = torch.tensor([frames, frames, frames - 2, 1]), torch.tensor(lengths)
    found = []
    for device, dtype in ((CPU, torch.float64), (part.device, torch.float32)):
        leaf = logits_BTV.to(device, dtype, copy=True).requires_grad_()
        losses_B = utterance_losses(leaf, frames_B, labels_BL.to(device), lengths_B)
        losses_B.sum().backward()
        found.append((losses_B, leaf.grad))
    what = f"{frames} frames, vocabulary {vocabulary}"
    part.record.check(f"CTC losses, {what}", relative(found[1][0], found[0][0]), at_most=1e-5)
    # Sums over a long path lose more in float32.
    part.record.check(
        f"CTC gradients, {what}", relative(found[1][1], found[0][1]), at_most=1e-2 if frames > 1000 else 1e-4
    )


def optimizer(part: Part) -> None:
    """AdamW of four rows against float64 on the CPU: one clips, one does not, one never would, one has NaN."""
    reference, found = (
        _stepped(device, dtype) for device, dtype in ((CPU, torch.float64), (part.device, torch.float32))
    )
    for place, what in enumerate(("rows", "first moments", "second moments")):
        part.record.check(f"AdamW, {what}", relative(found[0][place], reference[0][place]), at_most=1e-6)
    part.record.holds("AdamW leaves a row with NaN as it was", found[1])
    part.record.holds("AdamW leaves no gradient behind", found[2])


def _stepped(device: torch.device, dtype: torch.dtype) -> tuple[list[Tensor], bool, bool]:
    bank = AdapterBank(RowLayout(2, 32, 4), slots=4, largest_vocabulary=9, dtype=dtype, device=device)
    random = torch.Generator().manual_seed(0)

    def filled(slot: int) -> Tensor:
        return torch.randn(bank.row_size(slot), generator=random, dtype=torch.float64).to(bank.rows)

    for slot in range(4):
        bank.vocabulary_sizes[slot] = 9 - slot
        bank.row(slot).copy_(filled(slot))
    adam, kept = RowAdamW(bank), True
    for step in range(1, STEPS + 1):
        for slot in range(4):
            bank.grads[slot, : bank.row_size(slot)] = filled(slot)
        bank.grads[3, 5] = float("nan")
        before = bank.row(3).clone()
        rows = [
            RowStep(slot, step, Optim(lr=1e-2, warmup_steps=2, clip_norm=clip, weight_decay=0.1))
            for slot, clip in enumerate((1.0, 0.0, 1e6, 1.0))
        ]
        outcomes = adam.step(rows)
        kept &= torch.equal(before, bank.row(3)) and not outcomes[3].stepped
    return [bank.rows.detach(), adam.exp_avg, adam.exp_avg_sq], kept, not bank.grads.any().item()


def dropout(part: Part) -> None:
    """Masks are a function of utterance, layer, frame and channel, whatever draws them."""
    keys_B, shape_BTD = torch.tensor([-5, 2**62, 17]), torch.Size((3, 700, 16))
    prob_B = torch.tensor([0.1, 0.5, 0.0], dtype=torch.float64)
    masks = [
        keep_mask(keys_B.to(device), 3, shape_BTD, prob_B.to(device), torch.float32).cpu()
        for device in (CPU, part.device)
    ]
    part.record.holds("dropout masks are those of the CPU", torch.equal(*masks))
