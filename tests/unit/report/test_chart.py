"""Axes, ticks and paths of charts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mms_dist.report.chart import (
    LABEL_HEIGHT,
    LABEL_WIDTH,
    Axis,
    Dot,
    linear_axis,
    logarithmic_axis,
    path_of,
    spread,
    without_overlaps,
)


@given(st.floats(1e-6, 1e9))
def test_a_linear_axis_holds_the_value_with_a_few_round_ticks(highest: float) -> None:
    axis, ticks = linear_axis(highest)
    assert axis.high >= highest * (1 - 1e-9) and 2 <= len(ticks) <= 7
    assert ticks[0] == 0 and ticks[-1] == pytest.approx(axis.high)


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=9))
def test_values_lie_inside_of_a_logarithmic_axis(values: list[float]) -> None:
    axis, ticks = logarithmic_axis(values)
    assert all(0 < axis.place(value) < 100 for value in values)
    assert len(axis.ticks([(tick, "") for tick in ticks])) <= 12


def test_values_outside_are_drawn_at_the_edge() -> None:
    axis = Axis(0, 1)
    assert (axis.place(1.7), axis.place(-1), axis.place(0.25)) == (100, 0, 25)


def test_the_vertical_axis_of_svg_points_down() -> None:
    assert path_of([(0, 0), (50, 100)]) == "M0.0 100.0L50.0 0.0"


@given(st.lists(st.floats(0, 100), max_size=10))
def test_labels_are_moved_apart_and_keep_their_order(heights: list[float]) -> None:
    moved = spread(heights, 8)
    ordered = [moved[index] for index in sorted(range(len(heights)), key=lambda index: heights[index])]
    assert all(above - below >= 8 - 1e-9 for below, above in itertools.pairwise(ordered))
    assert all(-1e-9 <= height <= 100 + 1e-9 for height in moved)


def test_a_label_between_two_neighbours_goes_above_its_point() -> None:
    places = [(20.0, 30.0), (32.0, 33.0), (44.0, 30.0)]
    dots = without_overlaps([Dot(x, y, "dot", "ron", "", label="ron") for x, y in places])
    assert [(dot.label, dot.left, dot.above) for dot in dots][1] == ("ron", False, True)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=30))
def test_labels_of_points_never_cover_each_other(places: list[tuple[float, float]]) -> None:
    dots = without_overlaps([Dot(x, y, "dot", "ron", "ron: 1 h", label="ron") for x, y in places])
    labelled = [dot.label_place for dot in dots if dot.label]
    assert [(dot.x, dot.y) for dot in dots] == places and bool(labelled) == bool(places)
    for number, (x, y) in enumerate(labelled):
        assert all(abs(x - a) >= LABEL_WIDTH or abs(y - b) >= LABEL_HEIGHT for a, b in labelled[:number])
