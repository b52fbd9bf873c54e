"""All observers of a run are told everything, in their order, and one that overrides nothing hears nothing."""

import inspect
from typing import Any

from mms_dist.training.observer import Observer, Observers

METHODS = [name for name, _ in inspect.getmembers(Observer, inspect.isfunction)]


class Heard:
    """Notes every method that is called, with what it was given."""

    def __init__(self, name: str, heard: list[Any]) -> None:
        self._name, self._heard = name, heard

    def __getattr__(self, method: str) -> Any:
        return lambda *args, **fields: self._heard.append((self._name, method, args, fields))


def test_every_method_reaches_every_observer_in_order() -> None:
    heard: list[Any] = []
    members: list[Any] = [Heard("first", heard), Observer(), Heard("second", heard)]
    told = Observers(members)
    expected = []
    for method in METHODS:
        count = len(inspect.signature(getattr(Observer, method)).parameters) - 1
        args, fields = (tuple(range(count)), {}) if method != "event" else (("admitted",), {"language": "ron"})
        getattr(told, method)(*args, **fields)
        expected += [(name, method, args, fields) for name in ("first", "second")]
    assert heard == expected and len(METHODS) == 7
