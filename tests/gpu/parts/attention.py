"""Attention and convolutions: what a shape costs that was never seen, and one that was; are packed attention and the
base's convolutions right?

Legend: B utterances, T frames, H heads, D head size, N frames of all utterances end to end.
"""

import contextlib
import itertools
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from mms_dist.model.cuda_settings import set_cuda_arithmetic
from mms_dist.model.packed_attention import Segments
from tests.gpu.distance import relative
from tests.gpu.ours import can_pack
from tests.gpu.part import Part
from tests.gpu.parts import convolutions
from tests.gpu.shapes import shapes_of
from tests.gpu.timing import first_and_later, median

HEADS, HEAD_SIZES = 16, (64, 80)
BACKENDS = {
    "torch's choice": None,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
}
_PACKED_BOUND = 1e-2
"""Of half precision against float32."""


def run(part: Part) -> None:
    head_sizes = HEAD_SIZES if part.on_gpu else HEAD_SIZES[:1]
    # The settings of the process, not the product's: the table shows what each kernel would cost.
    torch.backends.cuda.enable_cudnn_sdp(True)
    for head_size in head_sizes:
        part.record.note(f"ms by kernel, head size {head_size}", padded(part, head_size))
    set_cuda_arithmetic()
    for head_size in head_sizes:
        if can_pack(part.half, part.device):
            packed(part, head_size)
    convolutions.run(part)


def padded(part: Part, head_size: int) -> dict[str, object]:
    """Forward and backward of each kernel: the first call with a shape, and the median of later ones."""
    found: dict[str, object] = {}
    for name, backend in BACKENDS.items() if part.on_gpu else [("torch's choice", None)]:
        for masked in (True, False):
            if masked and name == "flash":
                continue  # it takes no mask
            try:
                with sdpa_kernel(backend) if backend is not None else contextlib.nullcontext():
                    works = (attention(part, *shape, head_size, masked=masked) for shape in shapes_of(part))
                    what: object = first_and_later(works, part.device)
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
    """The attention of packed passes: is it right, does NaN stay in its utterance, are the bits those of an utterance
    alone, and its time."""
    lengths = tuple(
        34 - 7 * (item % 3) if part.smoke else 331 - 7 * (item % 9) for item in range(8 if part.smoke else 24)
    )
    query, key, value = (
        torch.randn(sum(lengths), HEADS, head_size, device=part.device, dtype=part.half, requires_grad=True)
        for _ in range(3)
    )
    every = segments(part, lengths)
    found = every.attend(query, key, value)
    limits = every.limits_S1.tolist()
    spans = [slice(begin, end) for begin, end in itertools.pairwise(limits)]
    each = []
    for span in spans:
        q, k, v = (x[span].detach().float().transpose(0, 1)[None] for x in (query, key, value))
        each.append(scaled_dot_product_attention(q, k, v)[0].transpose(0, 1))
    part.record.check(
        f"packed attention, head size {head_size}", relative(found, torch.cat(each)), at_most=_PACKED_BOUND
    )
    with torch.no_grad():
        q, k, v = (x.detach().clone() for x in (query, key, value))
        for x in (q, k, v):
            x[spans[3]] = float("nan")
        beside = every.attend(q, k, v)
        alone = segments(part, lengths[5:6]).attend(query[spans[5]], key[spans[5]], value[spans[5]])
    others = [number for number in range(len(spans)) if number != 3]
    part.record.holds(
        f"packed attention keeps NaN in its utterance, head size {head_size}",
        all(torch.equal(beside[spans[number]], found[spans[number]]) for number in others),
    )
    part.record.note(
        f"packed attention, an utterance alone has the bits it has beside others, head size {head_size}",
        torch.equal(alone, found[spans[5]]),
    )
    seconds = median(lambda: every.attend(query, key, value).sum().backward(), part.device)
    part.record.note(f"packed attention, ms of {sum(lengths)} frames, head size {head_size}", 1e3 * seconds)


def segments(part: Part, lengths: tuple[int, ...]) -> Segments:
    """Utterances of so many frames, end to end."""
    limits_S1 = torch.tensor([0, *lengths]).cumsum(0).to(part.device, torch.int32)
    return Segments(limits_S1, longest=max(lengths), lengths=lengths, is_filler=(False,) * len(lengths))
