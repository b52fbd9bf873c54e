"""Measure each language's parameters and the gradient of one batch, by kind of tensor."""

import torch
from torch import Tensor

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import Check, GradientLine, verdict
from mms_dist.model import transfer

KINDS = ("norm", "down", "up", "head")
_KIND_OF = {"norm": "norm", "linear_1": "down", "linear_2": "up"}


def gradient_lines(bench: Bench) -> list[GradientLine]:
    """Return gradient norms over all layers, by kind: the adapter's layer norm, its two projections, the CTC head."""
    _, grads_SR = bench.gradients(bench.batches.values())
    return [_line(bench, language, grads_SR) for language in bench.languages]


def every_tensor_has_a_gradient(lines: list[GradientLine]) -> Check:
    """Check that every tensor of every language gets a gradient: one without would never be trained."""
    zero = [f"{line.language}: {name}" for line in lines for name in line.zero]
    measured = f"{sum(line.tensors for line in lines)} tensors"
    if zero:
        measured = f"{len(zero)} of {measured} have none, first {zero[0]}"
    return verdict("grad", "gradient: every tensor of every language has one", not zero, measured)


def _line(bench: Bench, language: str, grads_SR: Tensor) -> GradientLine:
    bank, active = bench.parts.bank, bench.active_languages[language]
    size = bank.row_size(active.slot)
    grad_R = transfer.to_host(grads_SR[active.slot, :size])
    tensors = bank.layout.from_row(grad_R)
    norm = float(grad_R.double().norm())
    clip = active.settings.optim.clip_norm or float("inf")
    return GradientLine(
        language=language,
        parameters=size,
        file_bytes=size * torch.float32.itemsize,
        norms={"all": norm} | {kind: _norm(tensors, kind) for kind in KINDS},
        clip_factor=min(1.0, clip / max(norm, 1e-300)),
        tensors=len(tensors),
        zero=[name.removeprefix("wav2vec2.encoder.") for name, tensor in tensors.items() if not tensor.any()],
    )


def _norm(tensors: dict[str, Tensor], kind: str) -> float:
    squares = (tensor.double().square().sum() for name, tensor in tensors.items() if kind_of(name) == kind)
    return float(sum(squares, torch.zeros((), dtype=torch.float64)).sqrt())


def kind_of(name: str) -> str:
    """Return `norm`, `down`, `up` or `head` for a tensor, from its Hugging Face name."""
    return "head" if name.startswith("lm_head.") else _KIND_OF[name.split(".")[-2]]
