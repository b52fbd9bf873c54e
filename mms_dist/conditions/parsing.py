"""Read conditions as they are written on the command line: `noise:20,10,0`, `reverb` or `all`."""

from collections.abc import Sequence
from pkgutil import resolve_name

from mms_dist.conditions.condition import Condition
from mms_dist.conditions.registry import ALL, CONDITIONS, TAGS
from mms_dist.errors import DataError
from mms_dist.setting_types import number_of
from shards.wording import nearest


def condition_class(name: str) -> type[Condition]:
    """Return the class of a condition."""
    found: type[Condition] = resolve_name(CONDITIONS[name])
    return found


def parse_conditions(texts: Sequence[str]) -> dict[str, Condition]:
    """Read conditions such as `noise:20,10`, `reverb` (at its own levels) or `all`, and pass `tags` over.

    Returns:
        By label, such as `noise:20` or `telephone`, in the order given; what is repeated is there once.

    Raises:
        DataError: one does not exist, or a level cannot be used; all conditions are listed.
    """
    found: dict[str, Condition] = {}
    for text in texts:
        if text != TAGS:
            for name in CONDITIONS if text == ALL else [text]:
                found |= _parse(name)
    return found


def _parse(text: str) -> dict[str, Condition]:
    name, colon, levels = text.partition(":")
    if name not in CONDITIONS:
        raise DataError(f"{text!r} is not a condition{nearest(name, [*CONDITIONS, TAGS, ALL])}", fix=_choose())
    kind = condition_class(name)
    if not colon:
        return {_label(name, level): kind(level) for level in kind.levels} if kind.levels else {name: kind()}
    if not kind.levels:
        raise DataError(f"{text!r}: {name} has no levels", fix=f"write {name}")
    return {_label(name, level): kind(level) for level in (_level(text, kind, each) for each in levels.split(","))}


def _level(text: str, kind: type[Condition], written: str) -> float:
    try:
        level = float(number_of(written))
    except ValueError as error:
        raise DataError(f"{text!r}: the level {written!r} is not a number", fix=_choose()) from error
    if not kind.lowest <= level <= kind.highest:
        raise DataError(
            f"{text!r}: the level {level:g} is not between {kind.lowest:g} and {kind.highest:g} ({kind.meaning})",
            fix="choose another level",
        )
    return level


def _label(name: str, level: float) -> str:
    return f"{name}:{level:g}"


def _example(name: str) -> str:
    levels = condition_class(name).levels
    return name + (":" + ",".join(f"{level:g}" for level in levels) if levels else "")


def _choose() -> str:
    lines = [f"{_example(name)} ({condition_class(name).meaning})" for name in CONDITIONS]
    return "choose from " + "; ".join([*lines, f"{TAGS} (the utterances of each tag)", f"or {ALL} of these"])
