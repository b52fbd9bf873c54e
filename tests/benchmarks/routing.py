"""Routing: 32 languages in a batch against 1, same audio; and against one adapter without any routing.

Forward and backward over the transformer, adapters, heads and CTC; the front end, which knows no languages, is left
out, as it would only make the ratio smaller.

Legend: B utterances, T frames, H hidden size, N audio samples.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.routed import ModelInput, RoutedModel
from shards.schema import SAMPLE_RATE
from tests.benchmarks.bases import batch_of, random_base, random_labels, routed_model
from tests.benchmarks.measure import Measurement, Target, alternate, median_ratio
from tests.benchmarks.profile import profile_text

LANGUAGES = 32
TARGET = Target("at most", 1.03)
VOCABULARIES = [28 + language for language in range(LANGUAGES)]


def run(*, quick: bool) -> Iterator[Measurement]:
    """Both shapes in fp32, and the large one in bf16."""
    cases = [("tiny", None, "float32", 3.0), ("300m", 4, "float32", 2.0), ("300m", 4, "bfloat16", 2.0)]
    for shape, layers, dtype, seconds in cases[:1] if quick else cases:
        yield from _measure(shape, layers, dtype, seconds, repeats=2 if quick else 15 if layers is None else 5)


def _measure(shape: str, layers: int | None, dtype: str, seconds: float, *, repeats: int) -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        base = FrozenBase.load(str(random_base(Path(folder), shape, layers=layers)), dtype=DTYPES[dtype])
    torch.manual_seed(0)
    audio_BN = torch.randn(LANGUAGES, int(seconds * SAMPLE_RATE))
    many = routed_model(base, VOCABULARIES)
    one = routed_model(base, [max(VOCABULARIES)])  # as wide a head, so that the same logits are made
    labels = random_labels(LANGUAGES, int(8 * seconds), min(VOCABULARIES))
    mixed, single = batch_of(base, audio_BN, list(range(LANGUAGES))), batch_of(base, audio_BN, [0] * LANGUAGES)
    sides: dict[str, Callable[[], object]] = {
        "32 languages": lambda: step(many, mixed, *labels),
        "1 language": lambda: step(one, single, *labels),
        "unrouted": UnroutedStep(base, max(VOCABULARIES), single, *labels),
    }
    timings = alternate(sides, repeats=repeats)
    depth = f", {layers} layers" if layers else ""
    for name, target in (("1 language", TARGET), ("unrouted", None)):
        ratio = median_ratio(timings["32 languages"], timings[name])
        missed = target is not None and not target.is_met(ratio)
        yield Measurement(
            "routing",
            f"{shape} shapes{depth}, {dtype}, {LANGUAGES} x {seconds:g} s: 32 languages against {name}",
            1e3 * timings["32 languages"].median,
            1e3 * timings[name].median,
            "ms",
            ratio,
            "time with 32 languages / time of the reference",
            target,
            profile=profile_text(sides["32 languages"]) if missed else "",
        )


def step(model: RoutedModel, batch: ModelInput, labels_BL: Tensor, label_lengths_B: Tensor) -> None:
    """Forward and backward through all that is routed."""
    losses_B = utterance_losses(model.logits(batch), batch.frames_B, labels_BL, label_lengths_B)
    losses_B.sum().backward()
    model.bank.grads.zero_()


class UnroutedStep:
    """What a single-language implementation does: one adapter for the whole batch, as ordinary modules."""

    def __init__(
        self, base: FrozenBase, vocabulary: int, batch: ModelInput, labels_BL: Tensor, label_lengths_B: Tensor
    ) -> None:
        self.base, self.batch, self.labels_BL, self.label_lengths_B = base, batch, labels_BL, label_lengths_B
        hidden, dtype = base.hidden, base.dtype
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, dtype=dtype) for _ in base.layers)
        self.downs = nn.ModuleList(nn.Linear(hidden, 16, dtype=dtype) for _ in base.layers)
        self.ups = nn.ModuleList(nn.Linear(16, hidden, dtype=dtype) for _ in base.layers)
        self.head = nn.Linear(hidden, vocabulary, dtype=dtype)

    def __call__(self) -> None:
        valid_BT = torch.ones(self.batch.features_BTC.shape[:2], dtype=torch.bool)
        hidden_BTH = self.base.embed(self.batch.features_BTC, valid_BT, None, None)
        for index, (norm, down, up) in enumerate(zip(self.norms, self.downs, self.ups, strict=True)):
            hidden_BTH = self.base.layer(index, hidden_BTH, None)
            hidden_BTH = hidden_BTH + up(functional.relu(down(norm(hidden_BTH))))
        logits_BTV = self.head(self.base.final_norm(hidden_BTH)).float()
        utterance_losses(logits_BTV, self.batch.frames_B, self.labels_BL, self.label_lengths_B).sum().backward()
        for module in (self.norms, self.downs, self.ups, self.head):
            module.zero_grad()
