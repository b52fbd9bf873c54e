"""Conditions are read as they are written, and nonsense is refused with the list of conditions."""

import pytest

from mms_dist.conditions.noise import Noise
from mms_dist.conditions.parsing import condition_class, parse_conditions
from mms_dist.conditions.registry import CONDITIONS
from mms_dist.errors import DataError


def test_a_condition_has_the_levels_that_are_written_or_its_own() -> None:
    assert list(parse_conditions(["noise:5,-5.0,1e1", "reverb", "telephone"])) == [
        *("noise:5", "noise:-5", "noise:10", "reverb:0.3", "reverb:0.6", "telephone")
    ]
    assert parse_conditions(["noise:5"]) == {"noise:5": Noise(5.0)}


def test_all_are_those_of_the_registry_and_repeats_are_dropped() -> None:
    labels = list(parse_conditions(["noise:20", "all", "telephone", "noise:20.0"]))
    assert len(set(labels)) == len(labels) and labels[0] == "noise:20"
    assert {label.partition(":")[0] for label in labels} == set(CONDITIONS)


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_usual_levels_of_a_condition_are_within_its_bounds(name: str) -> None:
    kind = condition_class(name)
    assert kind.meaning and all(kind.lowest <= level <= kind.highest for level in kind.levels)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nois:20", "'nois:20' is not a condition (did you mean 'noise'?)"),
        ("", "'' is not a condition"),
        ("noise:", "the level '' is not a number"),
        ("noise:loud", "the level 'loud' is not a number"),
        ("noise:20,", "the level '' is not a number"),
        ("noise:nan", "the level nan is not between -30 and 60"),
        ("noise:1000", "the level 1000 is not between -30 and 60"),
        ("telephone:3", "telephone has no levels"),
        ("speed:0", "the level 0 is not between 0.5 and 2"),
        ("soft:20", "the level 20 is not between -90 and -1"),
    ],
)
def test_nonsense_is_refused(text: str, found: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_conditions(["reverb", text])
    assert found in caught.value.found and caught.value.fix


def test_what_is_not_a_condition_is_answered_with_all_of_them() -> None:
    with pytest.raises(DataError) as caught:
        parse_conditions(["rain"])
    assert caught.value.fix and all(name in caught.value.fix for name in CONDITIONS)
