"""What is not the encoder: arithmetic, CTC, the optimizer, and collectives in a world of one.

Legend: B utterances, T frames, V vocabulary, L labels.
"""

import time

import torch
from torch import Tensor
from torch.nn.functional import conv1d, ctc_loss, log_softmax

from mms_dist.config import Optim
from mms_dist.model import ctc_gpu
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.cuda_settings import set_cuda_arithmetic
from mms_dist.model.optimizer import RowAdamW, RowStep
from tests.gpu.collectives import look_at_collectives
from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.profile import synchronizing_operations
from tests.gpu.timing import in_turn

CPU = torch.device("cpu")
CTC_CASES = ((50, 33, (49, 50, 60, 1)), (1500, 300, (400, 300, 10, 1)), (7, 1200, (3, 7, 2, 1)))
"""Frames, vocabulary, labels of four utterances: some do not fit, one has a single frame, one vocabulary is wide."""
CTC_SPEED = ((20, 400, 60, 80), (4, 1500, 60, 400))
"""Utterances, frames, vocabulary, labels."""
STEPS = 5


def run(part: Part) -> None:
    arithmetic(part)
    for frames, vocabulary, lengths in CTC_CASES[: 1 if part.smoke else None]:
        ctc(part, frames, vocabulary, list(lengths))
    if part.on_gpu:
        ctc_kernels(part)
    optimizer(part)
    look_at_collectives(part, rank=0, world=1, host="127.0.0.1", port=0)


def arithmetic(part: Part) -> None:
    """Float32 is float32, and cuDNN's attention, which plans for every new shape, is off."""
    # A product in TF32 would be off by 1e-3.
    set_cuda_arithmetic()
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, dtype=torch.float64, generator=random) for _ in range(2))
    found = left.float().to(part.device) @ right.float().to(part.device)
    part.record.check("a product in float32", relative(found, left @ right), at_most=1e-5)
    signal, weight = torch.randn(2, 64, 500, dtype=torch.float64), torch.randn(64, 64, 3, dtype=torch.float64)
    found = conv1d(signal.float().to(part.device), weight.float().to(part.device))
    part.record.check("a convolution in float32", relative(found, conv1d(signal, weight)), at_most=1e-5)
    part.record.holds("cuDNN's attention is off", not torch.backends.cuda.cudnn_sdp_enabled())


def ctc_kernels(part: Part) -> None:
    """The project's own kernels are used and wait for nothing; their time beside that of torch's."""
    began = time.perf_counter()
    reason = ctc_gpu.reason_against(part.device)
    part.record.holds("CTC kernels passed their trial", reason is None, reason or "")
    part.record.note("CTC kernels, s of their trial with compilation", time.perf_counter() - began)
    for case in CTC_SPEED:
        ctc_times(part, *case)


def ctc_times(part: Part, utterances: int, frames: int, vocabulary: int, labels: int) -> None:
    logits_BTV = torch.randn(utterances, frames, vocabulary, device=part.device, requires_grad=True)
    labels_BL = torch.randint(1, vocabulary, (utterances, labels), device=part.device)
    frames_B = torch.full((utterances,), frames, device=part.device)
    lengths_B = torch.full((utterances,), labels, device=part.device)

    def ours() -> None:
        utterance_losses(logits_BTV, frames_B, labels_BL, lengths_B).sum().backward()

    def theirs() -> None:
        log_probs_TBV = log_softmax(logits_BTV, -1).transpose(0, 1)
        ctc_loss(log_probs_TBV, labels_BL, frames_B, lengths_B, reduction="sum", zero_infinity=True).backward()

    what = f"{utterances} x {frames} frames, vocabulary {vocabulary}, {labels} labels"
    times = in_turn({"ours": ours, "torch's": theirs}, part.device, repeats=5)
    part.record.note(f"CTC forward and backward, ms, {what}", {name: 1e3 * t.median for name, t in times.items()})
    waits = synchronizing_operations(ours, part.device)
    part.record.check(f"CTC's operations that wait for the device, {what}", len(waits), at_most=0)


def ctc(part: Part, frames: int, vocabulary: int, lengths: list[int]) -> None:
    """Losses and gradients against float64 on the CPU."""
    random = torch.Generator().manual_seed(1)
    logits_BTV = torch.randn(4, frames, vocabulary, dtype=torch.float64, generator=random)
    labels_BL = torch.randint(1, vocabulary, (4, max(lengths)), generator=random)
    frames_B, lengths_B = torch.tensor([frames, frames, frames - 2, 1]), torch.tensor(lengths)
    found = []
    for device, dtype in ((CPU, torch.float64), (part.device, torch.float32)):
        leaf = logits_BTV.to(device, dtype, copy=True).requires_grad_()
        losses_B = utterance_losses(leaf, *(tensor.to(device) for tensor in (frames_B, labels_BL, lengths_B)))
        (grad_BTV,) = torch.autograd.grad(losses_B.sum(), leaf)
        found.append((losses_B, grad_BTV))
    what = f"{frames} frames, vocabulary {vocabulary}"
    part.record.check(f"CTC losses, {what}", relative(found[1][0], found[0][0]), at_most=1e-5)
    # torch's own, which a CPU computes with, loses more over a long path.
    bound = 1e-2 if frames > 1000 and not part.on_gpu else 1e-4
    part.record.check(f"CTC gradients, {what}", relative(found[1][1], found[0][1]), at_most=bound)


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
    return [bank.rows.detach(), *adam.buffers.values()], kept, not bank.grads.any().item()
