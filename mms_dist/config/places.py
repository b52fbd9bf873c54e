"""Folders and files as people write them: `~` and `$VARIABLE` stand for what the shell would put there.

A configuration is no shell, and neither is a quoted flag: without this, `~/corpus` is a folder called `~`. URLs and
`pipe:` commands stay as they are; a pipe has a shell of its own. `$$` is a dollar sign.
"""

import dataclasses
import os
import re
import typing
from typing import Any, Final

from shards.storage import is_url

PLACE: Final = "a folder, a file or a URL"
"""Marks the settings that hold one, in the metadata of their type."""
_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>\w+)|\{(?P<braced>\w+)\}|(?P<other>[{(]))", re.ASCII)


def expanded(text: str) -> str:
    """The place with the home folder and the variables filled in.

    Raises:
        ValueError: a variable is not set or empty, or a user is not known.
    """
    if is_url(text):
        return text
    place = text
    if text.startswith("~"):
        place = os.path.expanduser(text)
        if place.startswith("~"):
            raise ValueError(f"there is no user {text.partition('/')[0]!r}; write ./{text} for a folder of that name")
    return _DOLLAR.sub(_value, place)


def local(place: str) -> str:
    """The place, if it is not a URL or a pipe: what is written goes to a file system.

    Raises:
        ValueError: it is one.
    """
    if is_url(place):
        raise ValueError("a folder of this machine's file systems is expected, and no URL")
    return place


def literal(place: str) -> str:
    """What to write for a place that is this very text."""
    return ("./" if place.startswith("~") else "") + place.replace("$", "$$")


def is_place(annotation: Any) -> bool:
    """Whether a setting of this type holds a place."""
    return PLACE in getattr(annotation, "__metadata__", ()) or any(map(is_place, _alternatives(annotation)))


def unexpanded(settings: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Settings of a section, or of a whole configuration, so that `expanded` gives back their places."""
    types = {field.name: field.type for field in dataclasses.fields(kind)}
    result = {}
    for name, value in settings.items():
        if dataclasses.is_dataclass(types.get(name)):
            value = unexpanded(value, types[name])
        elif name == "languages" and isinstance(value, dict):
            value = {
                code: {section: unexpanded(own, types[section]) for section, own in sections.items()}
                for code, sections in value.items()
            }
        elif isinstance(value, str) and is_place(types[name]) and not is_url(value):
            value = literal(value)
        result[name] = value
    return result


def _value(match: re.Match[str]) -> str:
    if match["escaped"]:
        return "$"
    if match["other"]:
        raise ValueError("of what begins with $, only $NAME and ${NAME} are understood; write $$ for a dollar sign")
    name = match["name"] or match["braced"]
    value = os.environ.get(name, "")
    if not value:
        state = "is empty" if name in os.environ else "is not set"
        raise ValueError(f"the variable {name} {state}; export it, or write $$ for a dollar sign")
    return value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union."""
    return () if hasattr(annotation, "__metadata__") else typing.get_args(annotation)
