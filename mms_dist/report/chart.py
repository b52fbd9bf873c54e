"""Charts as plain geometry: everything is placed in percent of the plot, from its lower left corner.

The page stretches the plot to its width, and sets labels as ordinary text at the same places, so that they stay
readable on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

Point = tuple[float, float]
NARROW, WIDE = 5.0, 1e3
"""Ratios of the ends of a logarithmic axis: below the first its ticks are even, from the second on powers of ten."""

LABEL_WIDTH, LABEL_HEIGHT = 15.0, 6.0
"""A label of a point, in percent of a plot as wide as a phone."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A curve, as an SVG path. `style` is a class of the stylesheet, `name` the language or the meaning."""

    path: str
    style: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point, with the text that explains it and perhaps a label beside it."""

    x: float
    y: float
    style: str
    name: str
    text: str
    label: str = ""
    left: bool = False
    above: bool = False

    @property
    def label_place(self) -> Point:
        """Where its label begins."""
        if self.above:
            return self.x - LABEL_WIDTH / 2, self.y + LABEL_HEIGHT
        return self.x - LABEL_WIDTH * self.left, self.y


@dataclass(frozen=True, slots=True)
class Label:
    """Text at a height beside the plot."""

    y: float
    text: str
    style: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart. `description` is what a screen reader says instead of it."""

    description: str
    x_title: str
    y_title: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    lines: Sequence[ChartLine] = ()
    areas: Sequence[ChartLine] = ()
    dots: Sequence[Dot] = ()
    labels: Sequence[Label] = field(default_factory=tuple)
    legend: Sequence[tuple[str, str]] = ()
    """Pairs of style and text."""
    faint: float = 1.0
    """Opacity of thin curves: less, the more there are."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to percent. Values outside are moved to the edge."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        low, high, value = (math.log10(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return min(100.0, max(0.0, 100 * (value - low) / (high - low)))

    def ticks(self, labels: Sequence[tuple[float, str]]) -> list[Tick]:
        """Return ticks at these values, without those outside."""
        return [Tick(self.place(value), text) for value, text in labels if self.low <= value <= self.high]


def linear_axis(highest: float, *, ticks: int = 5) -> tuple[Axis, list[float]]:
    """Return an axis from 0 to at least `highest`, and the values of about `ticks` round ticks."""
    highest = highest if highest > 0 else 1.0
    step = 10 ** math.floor(math.log10(highest / ticks))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if highest / (step * factor) <= ticks)
    count = math.ceil(highest / step - 1e-9)
    return Axis(0.0, count * step), [number * step for number in range(count + 1)]


def logarithmic_axis(values: Sequence[float]) -> tuple[Axis, list[float]]:
    """Return a logarithmic axis around positive values, and the values of its round ticks."""
    low, high = min(values) / 1.25, max(values) * 1.25
    axis = Axis(low, high, logarithmic=True)
    if high / low < NARROW:
        whole, ticks = linear_axis(high)
        step = whole.high / (len(ticks) - 1) / 2
        return axis, [number * step for number in range(1, 2 * len(ticks))]
    factors = (1, 2, 5) if high / low < WIDE else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return axis, [factor * 10.0**power for power in powers for factor in factors]


def path_of(points: Sequence[Point]) -> str:
    """Return the SVG path through points in percent; the vertical axis of SVG points down."""
    return "M" + "L".join(f"{x:.1f} {100 - y:.1f}" for x, y in points) if points else ""


def band_of(lower: Sequence[Point], upper: Sequence[Point]) -> str:
    """Return the SVG path around the area between two curves."""
    return path_of([*lower, *reversed(upper)]) + "Z"


def without_overlaps(dots: Sequence[Dot]) -> list[Dot]:
    """Move or drop labels that would cover other labels on a phone; the text of a point says the same."""
    taken: list[Point] = []
    found = []
    for dot in dots:
        for moved in (dot, replace(dot, left=not dot.left), replace(dot, above=True)):
            start, height = moved.label_place
            is_free = all(abs(start - x) >= LABEL_WIDTH or abs(height - y) >= LABEL_HEIGHT for x, y in taken)
            if dot.label and is_free and 0 <= start <= 100 and height <= 100:
                taken.append((start, height))
                found.append(moved)
                break
        else:
            found.append(replace(dot, label=""))
    return found


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart, in percent, so that neighbours have at least `gap` between them and stay inside."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    floor = 0.0
    for index in order:
        moved[index] = max(moved[index], floor)
        floor = moved[index] + gap
    ceiling = 100.0
    for index in reversed(order):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved
