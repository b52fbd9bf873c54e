"""The front end and the positional convolution: by torch's library (cuDNN on a GPU), and as the base computes them.

Part of `attention`. Legend: B utterances, N audio samples, T frames, H hidden size.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from mms_dist.model.cuda_settings import set_cuda_arithmetic
from shards.schema import FRONT_END
from tests.gpu.bases import config_of, library_module, random_base, random_state
from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.shapes import shapes_of
from tests.gpu.timing import Work, first_and_later

Compute = Callable[[Tensor], Tensor]
BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Of one against the other, relative, by precision: rounding alone. TF32 would be off by 1e-3 in float32."""


def run(part: Part) -> None:
    set_cuda_arithmetic()
    config = config_of("300m", tiny=part.smoke)
    config.num_hidden_layers = 1  # none is computed
    state = random_state(config)
    for dtype, bound in BOUNDS.items():
        theirs, base = library_module(config, dtype, part.device, state), random_base(config, dtype, part.device, state)
        ours: dict[str, Compute] = {"front end": base.features, "positional convolution": base.positions}
        library: dict[str, Compute] = {
            "front end": partial(_channels_last, theirs.feature_extractor),
            "positional convolution": theirs.encoder.pos_conv_embed,
        }
        for what, side in ours.items():
            compare(part, what, side, library[what], dtype, bound, config.hidden_size)


def compare(
    part: Part, what: str, ours: Compute, library: Compute, dtype: torch.dtype, bound: float, hidden: int
) -> None:
    """Both give the same; what each costs, in the precision that speed is measured in."""

    def input_of(utterances: int, frames: int) -> Tensor:
        shape = (utterances, samples_of(frames)) if what == "front end" else (utterances, frames, hidden)
        return torch.randn(shape, device=part.device, dtype=dtype)

    def works(compute: Compute, longer: int) -> Iterator[Work]:
        for utterances, frames in shapes_of(part):
            whole = input_of(utterances, frames + longer)
            yield partial(compute, whole)

    with torch.no_grad():
        whole = input_of(*shapes_of(part)[1])
        off = relative(ours(whole), library(whole))
        part.record.check(f"{what} as the library computes it, {str(dtype).removeprefix('torch.')}", off, at_most=bound)
        if dtype is part.half:
            # Shapes of one's own for each side: it may be that both ask the same library, which has then planned them.
            for longer, (name, side) in enumerate({"base": ours, "library": library}.items(), start=1):
                part.record.note(f"ms of the {what}, {name}", first_and_later(works(side, longer), part.device))


def _channels_last(front_end: Compute, audio_BN: Tensor) -> Tensor:
    return front_end(audio_BN).transpose(1, 2)


def samples_of(frames: int) -> int:
    """The least audio that comes to so many frames."""
    samples = frames
    for kernel, stride in reversed(FRONT_END):
        samples = (samples - 1) * stride + kernel
    return samples
