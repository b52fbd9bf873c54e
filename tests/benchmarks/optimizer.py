"""The optimizer step: RowAdamW on 64 active languages against a loop of 64 times `torch.optim.AdamW`.

Both sides clip each language by its own gradient norm, step, and leave the gradients ready for the next round. The
loop is run in every way torch offers: tensor by tensor, foreach and fused on a language's 6 L + 2 tensors, and
fused on one flat vector a language. The target speaks of the fastest of those that keep a language's tensors apart,
as a model's own parameters are; the flat one is the same idea as a row.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from mms_dist.config import Optim
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.optimizer import RowAdamW, RowStep, learning_rate
from tests.benchmarks.bases import SHAPES
from tests.benchmarks.measure import Measurement, Target, alternate, median_ratio
from tests.benchmarks.profile import profile_text

LANGUAGES = 64
VOCABULARY = 40
DIM = 16
OPTIM = Optim()
TARGET = Target("at most", 0.25)
VARIANTS: dict[str, dict[str, bool]] = {
    "per tensor": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def run(*, quick: bool) -> Iterator[Measurement]:
    """The tiny base's rows, and those of a 300M base."""
    for shape in ("tiny",) if quick else ("tiny", "300m"):
        yield from _measure(shape, repeats=2 if quick else 15)


def _measure(shape: str, *, repeats: int) -> Iterator[Measurement]:
    layout = RowLayout(SHAPES[shape]["num_hidden_layers"], SHAPES[shape]["hidden_size"], DIM)
    loops = {name: LanguageLoop(layout, **options) for name, options in VARIANTS.items()}
    loops["fused, flat"] = LanguageLoop(layout, flat=True, fused=True)
    rows = Rows(layout)
    timings = alternate({"rows": rows, **loops}, repeats=repeats)
    best = min(VARIANTS, key=lambda name: timings[name].median)
    details = {f"{name} [ms]": round(1e3 * timing.median, 2) for name, timing in timings.items()}
    for name, target in ((best, TARGET), ("fused, flat", None)):
        ratio = median_ratio(timings["rows"], timings[name])
        missed = target is not None and not target.is_met(ratio)
        yield Measurement(
            "optimizer",
            f"{shape} shapes, {LANGUAGES} languages of {layout.row_size(VOCABULARY):,} numbers, against {name} loop"
            + (" (its fastest)" if name == best else ""),
            1e3 * timings["rows"].median,
            1e3 * timings[name].median,
            "ms",
            ratio,
            "time of RowAdamW / time of the loop",
            target,
            details=details,
            profile=profile_text(rows) if missed else "",
        )


class Rows:
    """One vectorised step of all languages."""

    def __init__(self, layout: RowLayout) -> None:
        self.bank = AdapterBank(layout, slots=LANGUAGES, largest_vocabulary=VOCABULARY)
        self.bank.rows.detach().normal_(std=0.02)
        self.bank.vocabulary_sizes = [VOCABULARY] * LANGUAGES
        self.optimizer = RowAdamW(self.bank)
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        self.bank.grads[:, 0] = 1.0  # all zeros but for this one: of the same cost as any other gradient
        self.optimizer.step([RowStep(slot, self.steps, OPTIM) for slot in range(LANGUAGES)])


class LanguageLoop:
    """Clip, step and clear language after language, as 64 separate trainings would."""

    def __init__(self, layout: RowLayout, *, flat: bool = False, **options: bool) -> None:
        self.languages: list[list[Tensor]] = []
        self.optimizers: list[torch.optim.AdamW] = []
        shapes = [(layout.row_size(VOCABULARY),)] if flat else _shapes(layout)
        for _ in range(LANGUAGES):
            tensors = [torch.randn(shape).mul_(0.02).requires_grad_() for shape in shapes]
            for tensor in tensors:
                tensor.grad = torch.zeros_like(tensor)
            self.languages.append(tensors)
            self.optimizers.append(
                torch.optim.AdamW(
                    tensors,
                    lr=OPTIM.lr,
                    betas=OPTIM.betas,
                    eps=OPTIM.eps,
                    weight_decay=OPTIM.weight_decay,
                    **options,  # type: ignore[arg-type]
                )
            )
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        for tensors, optimizer in zip(self.languages, self.optimizers, strict=True):
            assert tensors[0].grad is not None
            tensors[0].grad.view(-1)[0] = 1.0
            torch.nn.utils.clip_grad_norm_(tensors, OPTIM.clip_norm)
            optimizer.param_groups[0]["lr"] = learning_rate(self.steps, OPTIM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)


def _shapes(layout: RowLayout) -> list[tuple[int, ...]]:
    """Of every tensor of a language: 6 L + 2."""
    layers = [shape for _ in range(layout.layers) for shape in layout.kinds.values()]
    return [*layers, (VOCABULARY, layout.hidden), (VOCABULARY,)]
