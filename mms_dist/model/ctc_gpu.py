"""CTC on a GPU without waiting for the device: the kernels of `ctc_kernels` with autograd, and a test of them.

torch's `ctc_loss` on CUDA needs the lengths on the host. In the forward and again in the backward pass, it copies them
and the labels' offsets to the device from pageable memory, and each copy waits until the device has finished all queued
work (aten/src/ATen/native/cuda/LossCTC.cu). Here all inputs are on the device and nothing is read back.

Legend: B utterances, T frames, V vocabulary, L labels; D directions, K kinds of states, P places: see `ctc_kernels`.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from mms_dist.model import transfer
from shards.errors import first_line

BLOCK_SIZES = (128, 512, 2048, 8192)
"""Sizes of a state vector for which kernels are compiled. There are few, because each is compiled on first use, and a
step over a longer vector than needed takes little longer."""
TILE_FRAMES, TILE_TOKENS = 16, 128  # a tile of the gradient
LAUNCH = {"num_stages": 1, "enable_fp_fusion": True}
"""No pipelining of loops, because every step needs the previous one; and fused multiply-adds, independent of the
default of the Triton version (3.9 warns that its default will change)."""
TEST_SHAPES = ((12, 9, 5), (300, 40, 140), (640, 40, 520))  # T, V, L: one for each block but the last
_LOSS_BOUND, _GRADIENT_BOUND = 1e-5, 5e-4
"""Relative differences that the test accepts as rounding: ten times the largest ones of these cases in Triton's
interpreter (7e-7 and 4e-5; torch's own float32 has 7e-7 and 1e-3)."""


def can_hold(labels_BL: Tensor, frames: int) -> bool:
    """Whether a compiled block size is large enough for the longest labels that could fit `frames` frames."""
    return min(labels_BL.shape[1], frames) < BLOCK_SIZES[-1]


def losses(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, lengths_B: Tensor) -> Tensor:
    """Negative log likelihood of each utterance's labels, [B]; 0, and no gradient, where they do not fit the frames.

    All inputs are on one device, with logits in float32 or float64; the blank is 0. Invalid input gives that utterance
    NaN, because nothing is checked on the host: more frames than T, more labels than L, or a label outside the
    vocabulary.
    """
    return _Losses.apply(logits_BTV, frames_B.contiguous(), labels_BL.contiguous(), lengths_B.contiguous())


def warps(block: int) -> int:
    """Warps of a program that processes a state vector of `block` places: two places per thread, up to 32 warps."""
    return min(block // 64, 32)


class _Losses(torch.autograd.Function):
    """The forward pass runs both recursions, forward and backward in time, in parallel; the backward pass has none."""

    @staticmethod
    def forward(ctx: Any, logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, lengths_B: Tensor) -> Tensor:
        from mms_dist.model.ctc_kernels import recursion

        log_probs_BTV = functional.log_softmax(logits_BTV, dim=-1).contiguous()
        batch, frames, vocabulary = log_probs_BTV.shape
        longest = labels_BL.shape[1]
        block = next(size for size in BLOCK_SIZES if min(longest, frames) < size)
        directions = 2 if ctx.needs_input_grad[0] else 1
        states_DBTKP = log_probs_BTV.new_empty(directions, batch, frames, 2, longest + 1)
        log_likelihood_B = log_probs_BTV.new_empty(batch)
        with torch.cuda.device_of(log_probs_BTV):
            recursion[(batch, directions)](
                log_probs_BTV,
                labels_BL,
                frames_B,
                lengths_B,
                states_DBTKP,
                log_likelihood_B,
                frames,
                vocabulary,
                longest,
                BLOCK=block,
                num_warps=warps(block),
                **LAUNCH,
            )
        ctx.save_for_backward(log_probs_BTV, frames_B, labels_BL, lengths_B, states_DBTKP, log_likelihood_B)
        return (-log_likelihood_B).masked_fill(log_likelihood_B == float("-inf"), 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight_B: Tensor) -> tuple[Tensor, None, None, None]:
        from mms_dist.model.ctc_kernels import gradient

        log_probs_BTV, frames_B, labels_BL, lengths_B, states_DBTKP, log_likelihood_B = ctx.saved_tensors
        batch, frames, vocabulary = log_probs_BTV.shape
        grad_BTV = torch.empty_like(log_probs_BTV)
        with torch.cuda.device_of(log_probs_BTV):
            gradient[(batch, -(-frames // TILE_FRAMES), -(-vocabulary // TILE_TOKENS))](
                log_probs_BTV,
                labels_BL,
                frames_B,
                lengths_B,
                states_DBTKP,
                log_likelihood_B,
                weight_B.contiguous(),
                grad_BTV,
                frames,
                vocabulary,
                labels_BL.shape[1],
                FRAMES=TILE_FRAMES,
                TOKENS=TILE_TOKENS,
                num_warps=4,
                **LAUNCH,
            )
        return grad_BTV, None, None, None


LEFT_OUT: list[str] = []
"""The reason, once `leave_out` has been called."""


def leave_out(reason: str) -> None:
    """Use torch's loss in this process from now on, because another rank has to, and all must compute alike."""
    LEFT_OUT.append(reason)


def reason_against(device: torch.device) -> str | None:
    """Why the kernels cannot be used on a device, or None if they can. The first call tests them."""
    return LEFT_OUT[0] if LEFT_OUT else why_kernels_fail(device)


@functools.cache
def why_kernels_fail(device: torch.device) -> str | None:
    """Compare the kernels with torch's own loss, once per process and device; return None if they can be used.

    This takes some seconds if Triton must compile, and well under one if its disk cache has the kernels. It waits for
    the device, so call it before the first round.
    """
    try:
        import mms_dist.model.ctc_kernels  # noqa: F401
    except ImportError as error:
        return f"Triton cannot be imported: {error}"
    try:
        for number, (frames, vocabulary, labels) in enumerate(TEST_SHAPES):
            wrong = difference_from_torch(device, frames, vocabulary, labels, seed=number)
            if wrong is not None:
                return wrong
    except Exception as error:  # any error of a compiler, driver or launch: torch's loss still works
        return f"Triton's kernels do not run here: {type(error).__name__}: {first_line(error)}"
    return None


def difference_from_torch(device: torch.device, frames: int, vocabulary: int, labels: int, seed: int) -> str | None:
    """Describe a difference beyond rounding between the float32 kernels and torch's float64 loss on the CPU, if any."""
    random = torch.Generator().manual_seed(seed)
    logits_BTV = 2 * torch.randn(4, frames, vocabulary, generator=random, dtype=torch.float64)
    labels_BL = torch.randint(1, vocabulary, (4, labels), generator=random)
    labels_BL[1, : labels // 4] = 1  # repeated labels need blanks between them
    frames_B = torch.tensor([frames, frames - 1, frames // 2, 1])
    lengths_B = torch.tensor([labels, labels // 2, 0, 2])  # the last utterance's labels do not fit
    weight_B = torch.tensor([1.0, 0.5, 2.0, 1.0], dtype=torch.float64)

    def with_gradient(loss: Any, leaf_BTV: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        leaf_BTV.requires_grad_()
        losses_B = loss(leaf_BTV, *rest)
        (grad_BTV,) = torch.autograd.grad((losses_B * weight_B.to(losses_B)).sum(), leaf_BTV)
        return transfer.to_host(losses_B).double(), transfer.to_host(grad_BTV).double()

    with torch.inference_mode(False), torch.enable_grad():
        expected = with_gradient(_torch_losses, logits_BTV.clone(), frames_B, labels_BL, lengths_B)
        found = with_gradient(
            losses,
            *(transfer.to_device(each, device) for each in (logits_BTV.float(), frames_B, labels_BL, lengths_B)),
        )
    bounds = (("losses", _LOSS_BOUND), ("gradients", _GRADIENT_BOUND))
    for (what, bound), one, other in zip(bounds, expected, found, strict=True):
        distance = float((one - other).norm() / one.norm())
        if not distance <= bound:
            return (
                f"Triton's kernels differ from torch's CTC by {distance:.1e} in the {what} of {frames} frames and "
                f"{labels} labels, expected at most {bound:.0e}"
            )
    return None


def _torch_losses(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, lengths_B: Tensor) -> Tensor:
    log_probs_TBV = functional.log_softmax(logits_BTV, dim=-1).transpose(0, 1)
    return functional.ctc_loss(log_probs_TBV, labels_BL, frames_B, lengths_B, reduction="none", zero_infinity=True)
