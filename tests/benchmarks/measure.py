"""What a benchmark measures, and how two sides are timed against each other."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Literal

Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Target:
    """What DESIGN.md section 6 asks of a ratio."""

    bound: Bound
    value: float

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.value if self.bound == "at most" else ratio >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound == 'at most' else '≥'} {self.value:g}"


@dataclass(frozen=True)
class Measurement:
    """One line of the results: ours against a reference, in one environment.

    Attributes:
        benchmark: name of the benchmark.
        case: what was measured.
        ours, reference: medians, in `unit`.
        ratio: what the target speaks of; its meaning stands in `meaning`.
        target: None for a figure that is shown for comparison only.
        details: further figures, by name.
        profile: where the time goes, if the target is missed.
    """

    benchmark: str
    case: str
    ours: float
    reference: float
    unit: str
    ratio: float
    meaning: str
    target: Target | None = None
    details: dict[str, Any] = field(default_factory=dict)
    profile: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "–"
        return "met" if self.target.is_met(self.ratio) else "missed"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"target": str(self.target) if self.target else None, "verdict": self.verdict}


@dataclass(frozen=True)
class Timing:
    """Seconds of every repetition of one side."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def alternate(
    sides: Mapping[str, Callable[[], object]], *, repeats: int, warmups: int = 1, calls: int = 1
) -> dict[str, Timing]:
    """Time the sides in turn, so that what else the machine does falls on all of them.

    Every other repetition runs in the opposite order. A repetition is `calls` calls; seconds are those of one call.
    """
    for _ in range(warmups):
        for side in sides.values():
            side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(repeats):
        order = list(sides) if repetition % 2 == 0 else list(sides)[::-1]
        for name in order:
            began = perf_counter()
            for _ in range(calls):
                sides[name]()
            seconds[name].append((perf_counter() - began) / calls)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def median_ratio(numerator: Timing, denominator: Timing) -> float:
    """Median over repetitions of the ratio within one repetition: what drifts between them cancels."""
    return statistics.median(a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True))
