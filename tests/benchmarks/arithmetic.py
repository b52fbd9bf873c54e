"""Forward and backward against the bare matrix products they must do, with the same threads and at the same shapes.

The products are those of the whole model: the front end's and the positional convolutions as products with their
patches laid out beforehand, every projection, attention's scores and mixtures, adapters and head; and of the
backward pass those that yield gradients of activations above the lowest adapter, and of the adapters and heads.
Nothing else is done: no norms, no softmax, no GELU, no copies, no CTC. Weights are the base's own, so that
they come from memory as they do in training.

Legend: B utterances, T frames, H hidden size, N audio samples, R row of patches.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.routed import RoutedModel
from shards.schema import SAMPLE_RATE
from tests.benchmarks.bases import batch_of, random_base, random_labels, routed_model
from tests.benchmarks.measure import Measurement, Target, alternate, median_ratio
from tests.benchmarks.profile import profile_text
from tests.benchmarks.routing import step

TARGET = Target("at least", 0.75)
VOCABULARY = 40
DIM = 16

Product = Callable[[], object]


def run(*, quick: bool) -> Iterator[Measurement]:
    """The whole depth of a 300M base in fp32 and bf16, then what the shipped base's small shapes allow."""
    cases = [("300m", 24, "float32", 4, 5.0, 0.75), ("300m", 24, "bfloat16", 4, 5.0, 0.75)]
    small = [("tiny", 6, "float32", 16, 2.5, None)]
    for shape, layers, dtype, batch, seconds, target in small if quick else cases + small:
        yield _measure(shape, layers, dtype, batch, seconds, repeats=2 if quick else 3, has_target=target is not None)


def _measure(
    shape: str, layers: int, dtype: str, batch: int, seconds: float, *, repeats: int, has_target: bool
) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        base = FrozenBase.load(str(random_base(Path(folder), shape, layers=layers)), dtype=DTYPES[dtype])
    torch.manual_seed(0)
    audio_BN = torch.randn(batch, int(seconds * SAMPLE_RATE))
    model = routed_model(base, [VOCABULARY] * batch, dim=DIM)
    products = BareProducts(base, batch, audio_BN.shape[1])
    work = training_pass(model, audio_BN)
    timings = alternate({"ours": work, "bare": products}, repeats=repeats)
    ratio = median_ratio(timings["bare"], timings["ours"])
    target = TARGET if has_target else None
    return Measurement(
        "arithmetic",
        f"{shape} shapes, {layers} layers, {dtype}, {batch} x {seconds:g} s",
        timings["ours"].median,
        timings["bare"].median,
        "s",
        ratio,
        "time of the bare products / time of forward and backward",
        target,
        details={
            "GFLOP": round(products.flop / 1e9, 1),
            "GFLOP/s": round(products.flop / 1e9 / timings["ours"].median),
        },
        profile=profile_text(work) if target is not None and not target.is_met(ratio) else "",
    )


def training_pass(model: RoutedModel, audio_BN: Tensor) -> Callable[[], None]:
    """Front end, forward, CTC and backward of a batch with a language for each utterance."""
    batch, seconds = audio_BN.shape[0], audio_BN.shape[1] / SAMPLE_RATE
    labels = random_labels(batch, int(8 * seconds), VOCABULARY)
    return lambda: step(model, batch_of(model.base, audio_BN, list(range(batch))), *labels)


class BareProducts:
    """Every matrix product of one forward and backward pass, in the order of the passes."""

    def __init__(self, base: FrozenBase, batch: int, samples: int) -> None:
        self.dtype = base.dtype
        self.flop = 0
        self._products: list[Product] = []
        self._buffers: dict[tuple[Any, ...], Tensor] = {}
        frames = self._front_end(base, batch, samples)
        self._positions(base, batch, frames)
        hidden = base.hidden
        for layer in base.layers:
            self._layer(layer, batch, frames)
            self._routed(batch, frames, hidden, DIM)
        self._routed(batch, frames, hidden, VOCABULARY, half=True)
        self._routed_backward(batch, frames, hidden, VOCABULARY, half=True)
        for index, layer in reversed(list(enumerate(base.layers))):
            self._routed_backward(batch, frames, hidden, DIM)
            if index > 0:
                self._layer_backward(layer, batch, frames)

    def __call__(self) -> None:
        for product in self._products:
            product()

    def _front_end(self, base: FrozenBase, batch: int, samples: int) -> int:
        channels, length = 1, samples
        for convolution in base.module.feature_extractor.conv_layers:  # type: ignore[union-attr]
            weight = convolution.conv.weight
            kernel, stride = weight.shape[2], convolution.conv.stride[0]
            length = (length - kernel) // stride + 1
            self._mm(batch * length, channels * kernel, weight.flatten(1).t())
            channels = weight.shape[0]
        self._mm(batch * length, channels, base.module.feature_projection.projection.weight.t())  # type: ignore[union-attr]
        return length

    def _positions(self, base: FrozenBase, batch: int, frames: int) -> None:
        convolution = base.module.encoder.pos_conv_embed.conv  # type: ignore[union-attr]
        groups, kernel = convolution.groups, convolution.kernel_size[0]
        width = base.hidden // groups
        weight = self._buffer("position weight", groups, width * kernel, width)
        patches = self._buffer("position patches", groups, batch * (frames + 1 - kernel % 2), width * kernel)
        self._bmm(patches, weight)

    def _layer(self, layer: Any, batch: int, frames: int) -> None:
        attention, feed_forward = layer.attention, layer.feed_forward
        rows, hidden = batch * frames, attention.out_proj.in_features
        for projection in (attention.qkv, attention.out_proj):
            self._mm(rows, hidden, projection.weight.t())
        heads, head = batch * attention.num_heads, attention.head_dim
        self._bmm(self._buffer("heads", heads, frames, head), self._buffer("heads", heads, frames, head).mT)
        self._bmm(self._buffer("scores", heads, frames, frames), self._buffer("heads", heads, frames, head))
        for projection in (feed_forward.intermediate_dense, feed_forward.output_dense):
            self._mm(rows, projection.in_features, projection.weight.t())

    def _layer_backward(self, layer: Any, batch: int, frames: int) -> None:
        """Gradients of activations alone: the base is frozen."""
        attention, feed_forward = layer.attention, layer.feed_forward
        rows = batch * frames
        for projection in (feed_forward.output_dense, feed_forward.intermediate_dense, attention.out_proj):
            self._mm(rows, projection.out_features, projection.weight)
        heads, head = batch * attention.num_heads, attention.head_dim
        values, scores = self._buffer("heads", heads, frames, head), self._buffer("scores", heads, frames, frames)
        self._bmm(values, values.mT)  # of the attention weights
        for left in (scores.mT, scores, scores.mT):  # of values, queries, keys
            self._bmm(left, values)
        self._mm(rows, attention.qkv.out_features, attention.qkv.weight)

    def _routed(self, batch: int, frames: int, hidden: int, width: int, *, half: bool = False) -> None:
        """Down and up (`half`: a head, which has one matrix)."""
        wide, narrow = self._buffer("wide", batch, frames, hidden), self._buffer("narrow", batch, frames, width)
        down = self._buffer("down", batch, hidden, width)
        self._bmm(wide, down)
        if not half:
            self._bmm(narrow, down.mT)

    def _routed_backward(self, batch: int, frames: int, hidden: int, width: int, *, half: bool = False) -> None:
        """Gradients of activations and of weights."""
        wide, narrow = self._buffer("wide", batch, frames, hidden), self._buffer("narrow", batch, frames, width)
        down = self._buffer("down", batch, hidden, width)
        self._bmm(narrow, down.mT)
        self._bmm(wide.mT, narrow)
        if not half:
            self._bmm(wide, down)
            self._bmm(narrow.mT, wide)

    def _mm(self, rows: int, inner: int, right: Tensor) -> None:
        left, out = self._buffer("rows", rows, inner), self._buffer("out", rows, right.shape[1])
        self.flop += 2 * rows * inner * right.shape[1]
        self._products.append(lambda: torch.mm(left, right, out=out))

    def _bmm(self, left: Tensor, right: Tensor) -> None:
        out = self._buffer("out", left.shape[0], left.shape[1], right.shape[2])
        self.flop += 2 * left.numel() * right.shape[2]
        self._products.append(lambda: torch.bmm(left, right, out=out))

    def _buffer(self, name: str, *shape: int) -> Tensor:
        key = (name, shape)
        if key not in self._buffers:
            self._buffers[key] = torch.randn(shape).to(self.dtype)
        return self._buffers[key]
