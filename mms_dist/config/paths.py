"""Expand `~` and `$VARIABLE` in paths, as a shell would.

No shell expands the values of a configuration file or of a quoted flag: without this, `~/corpus` is a folder called
`~`. URLs and `pipe:` commands are not changed; a pipe runs in its own shell. `$$` is a dollar sign.
"""

import dataclasses
import os
import re
import typing
from typing import Any, Final

from shards.storage import is_url

PATH: Final = "a folder, a file or a URL"
"""Metadata that marks the type of a setting that holds a path."""
_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>\w+)|\{(?P<braced>\w+)\}|(?P<other>[{(]))", re.ASCII)


def expanded(text: str) -> str:
    """Expand the home folder and the variables.

    Raises:
        ValueError: a variable is not set or empty, or a user is unknown.
    """
    if is_url(text):
        return text
    place = text
    if text.startswith("~"):
        place = os.path.expanduser(text)
        if place.startswith("~"):
            raise ValueError(f"there is no user {text.partition('/')[0]!r}; for a folder of that name, write ./{text}")
    return _DOLLAR.sub(_value, place)


def local(place: str) -> str:
    """Return the path if it is local: outputs are written to a file system.

    Raises:
        ValueError: it is a URL or a pipe.
    """
    if is_url(place):
        raise ValueError("expected a folder on this machine, not a URL")
    return place


def literal(place: str) -> str:
    """Escape a path so that `expanded` returns it unchanged."""
    return ("./" if place.startswith("~") else "") + place.replace("$", "$$")


def is_path(annotation: Any) -> bool:
    """Whether a setting of this type holds a path."""
    return PATH in getattr(annotation, "__metadata__", ()) or any(map(is_path, _alternatives(annotation)))


def unexpanded(settings: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Escape the paths in a section or a whole configuration, so that `expanded` returns them unchanged."""
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
        elif isinstance(value, str) and is_path(types[name]) and not is_url(value):
            value = literal(value)
        result[name] = value
    return result


def _value(match: re.Match[str]) -> str:
    if match["escaped"]:
        return "$"
    if match["other"]:
        raise ValueError("only $NAME and ${NAME} are supported; for a dollar sign, write $$")
    name = match["name"] or match["braced"]
    value = os.environ.get(name, "")
    if not value:
        state = "is empty" if name in os.environ else "is not set"
        raise ValueError(f"the variable {name} {state}; export it, or for a dollar sign write $$")
    return value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union."""
    return () if hasattr(annotation, "__metadata__") else typing.get_args(annotation)
