"""The parts of the suite, in the order they are run in: what decides about correctness first, then what costs most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One part.

    Attributes:
        name: as `--parts` takes it.
        function: `module:function`, which is called with a `Part`.
        needs: seconds that must be left for it to be begun.
        limit: seconds after which it is killed.
    """

    name: str
    function: str
    needs: float
    limit: float


def _item(name: str, function: str, needs: float, limit: float) -> Item:
    return Item(name, f"tests.gpu.parts.{function}", needs, limit)


ITEMS = (
    _item("environment", "environment:run", 10, 45),
    _item("correctness", "correctness:run", 20, 75),
    _item("independence", "independence:run", 15, 60),
    _item("objective", "objective:run", 10, 40),
    _item("attention", "attention:run", 15, 60),
    _item("speed-300m", "speed:run_300m", 45, 150),
    _item("kernels", "kernels:run", 20, 60),
    _item("product", "product:run", 45, 150),
    _item("speed-1b", "speed:run_1b", 60, 180),
    _item("memory", "memory:run", 20, 60),
    _item("evaluation", "evaluation:run", 20, 60),
    _item("loader", "loader:run", 15, 40),
    _item("features", "features:run", 15, 40),
    _item("zero3", "zero3:run", 25, 90),
)
"""Their limits are more than a budget of 450 s: each is a bound, and not what is expected."""

ALWAYS = "environment"
"""Card, driver and versions stand above every result, and one of its figures is what others are compared with."""


def chosen(names: list[str]) -> list[Item]:
    """The parts of these names, in the suite's order; all of them if none is named.

    Raises:
        ValueError: there is no such part.
    """
    known = [item.name for item in ITEMS]
    for name in names:
        if name not in known:
            raise ValueError(f"found no part {name!r}, expected of {', '.join(known)}")
    return [item for item in ITEMS if not names or item.name in names or item.name == ALWAYS]
