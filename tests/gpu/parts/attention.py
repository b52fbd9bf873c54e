"""Attention kernels: what a shape costs that was never seen, and one that was; whether packed attention is right.

Legend: B utterances, T frames, H heads, D head size, N frames of all utterances end to end.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.timing import median, once

HEADS, HEAD_SIZES = 16, (64, 80)
SHAPES = ((24, 331), (23, 347), (19, 419), (16, 503), (11, 719), (6, 1249))
"""Utterances and frames of passes of about 160 s."""
BACKENDS = {
    "torch's choice": None,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
}
_PACKED_BOUND = 1e-2
"""Of half precision against float32."""


def run(part: Part) -> None:
    # The settings of the process, not the product's: the table shows what each kernel would cost.
    torch.backends.cuda.enable_cudnn_sdp(True)
    for head_size in HEAD_SIZES if part.on_gpu else HEAD_SIZES[:1]:
        part.record.note(f"ms by kernel, head size {head_size}", padded(part, head_size))
        if part.on_gpu:
            packed(part, head_size)


def padded(part: Part, head_size: int) -> dict[str, object]:
    """Forward and backward of each kernel: the first call with a shape, and the median of later ones."""
    found: dict[str, object] = {}
    for name, backend in BACKENDS.items() if part.on_gpu else [("torch's choice", None)]:
        for masked in (True, False):
            if masked and name == "flash":
                continue  # it takes no mask
            first, later = [], []
            try:
                with sdpa_kernel(backend) if backend is not None else contextlib.nullcontext():
                    for utterances, frames in SHAPES if part.on_gpu else ((2, 20),):
                        work = attention(part, utterances, frames, head_size, masked=masked)
                        first.append(1e3 * once(work, part.device))
                        later.append(1e3 * median(work, part.device))
                what: object = {"first": first, "later": later}
            except RuntimeError as error:
                what = str(error).splitlines()[0]
            found[f"{name}, {'masked' if masked else 'full'}"] = what
    return found


def attention(part: Part, utterances: int, frames: int, head_size: int, *, masked: bool) -> Callable[[], None]:
    shape = (utterances, frames, HEADS, head_size)
    inputs = [torch.randn(shape, device=part.device, dtype=part.half, requires_grad=True) for _ in range(3)]
    attend = None
    if masked:
        lengths_B1 = frames - torch.arange(utterances, device=part.device)[:, None] % 7
        attend = (torch.arange(frames, device=part.device) < lengths_B1)[:, None, None, :]

    def work() -> None:
        query, key, value = (x.transpose(1, 2) for x in inputs)
        scaled_dot_product_attention(query, key, value, attn_mask=attend).sum().backward()

    return work


def packed(part: Part, head_size: int) -> None:
    """Variable-length attention: right, NaN stays in its utterance, the same bits in other company, and its time."""
    from torch.nn.attention.varlen import varlen_attn

    lengths = [331 - 7 * (item % 9) for item in range(24)]
    ends = torch.tensor([0, *lengths]).cumsum(0).to(part.device, torch.int32)
    query, key, value = (
        torch.randn(sum(lengths), HEADS, head_size, device=part.device, dtype=part.half, requires_grad=True)
        for _ in range(3)
    )

    def attend(q: Tensor, k: Tensor, v: Tensor, ends_of: Tensor) -> Tensor:
        return varlen_attn(q, k, v, ends_of, ends_of, max(lengths), max(lengths))

    found = attend(query, key, value, ends)
    spans = [slice(begin, end) for begin, end in zip(ends.tolist(), ends.tolist()[1:], strict=False)]
    each = [
        scaled_dot_product_attention(*(x[span].detach().float().transpose(0, 1)[None] for x in (query, key, value)))
        for span in spans
    ]
    expected = torch.cat([one[0].transpose(0, 1) for one in each])
    part.record.check(f"packed attention, head size {head_size}", relative(found, expected), at_most=_PACKED_BOUND)
    with torch.no_grad():
        sick = [x.detach().clone() for x in (query, key, value)]
        for x in sick:
            x[spans[3]] = float("nan")
        beside = attend(*sick, ends)
        alone = attend(*(x[spans[5]] for x in (query, key, value)), ends[:1].new_tensor([0, lengths[5]]))
    others = [number for number in range(len(spans)) if number != 3]
    part.record.holds(
        f"packed attention keeps NaN in its utterance, head size {head_size}",
        all(torch.equal(beside[spans[number]], found[spans[number]]) for number in others),
    )
    part.record.note(
        f"packed attention, an utterance alone has the bits it has beside others, head size {head_size}",
        torch.equal(alone, found[spans[5]]),
    )
    seconds = median(lambda: attend(query, key, value, ends).sum().backward(), part.device)
    part.record.note(f"packed attention, ms of {sum(lengths)} frames, head size {head_size}", 1e3 * seconds)
