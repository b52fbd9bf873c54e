"""Parse the text of a configuration into plain values, before validation.

The type of a setting decides how its text is read. For a text setting, `2024-01-01`, `no` and `1e3` are text, both in
a file and on the command line. YAML therefore gives only the structure, not the types of setting_types.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Iterable
from typing import Any

import yaml

from mms_dist import setting_types
from mms_dist.config.paths import expanded, is_path
from mms_dist.config.schema import PER_LANGUAGE, Config
from mms_dist.errors import ConfigError
from mms_dist.files import UnreadableFileError, read_text
from mms_dist.shipped import shipped_configuration, shipped_configurations

MAX_NODES = 100_000
"""Aliases can expand a short file to billions of values."""
MAX_DEPTH = 20
_SECTIONS = {field.name: field.type for field in dataclasses.fields(Config)}
_LANGUAGES, _LANGUAGE = "the languages", "a language"
_NULL, _TEXT, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "merge"))
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "timestamp", "value", "map", "seq")}
_TAGS |= {_NULL, _TEXT, _MERGE}


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the sections of a file, unvalidated. A name such as `mms-300m` is the shipped configuration, unless there is
    a file of that name.

    Raises:
        ConfigError: the file is missing or not YAML, or has a key twice.
    """
    shipped = None if os.path.exists(path) else shipped_configuration(os.fspath(path))
    try:
        text = read_text(shipped or path)
    except UnreadableFileError as error:
        names = ", ".join(shipped_configurations())
        raise ConfigError(
            f"cannot read the configuration {path}: {error.found}",
            fix=error.fix or f"pass --config with an existing file, or the name of a shipped one: {names}",
        ) from error
    document = parse(text, Config, str(path))
    if not isinstance(document, dict):
        kind = "list" if isinstance(document, list) else "single value"
        raise ConfigError(f"{path}: found a {kind}, expected sections such as `optim:`")
    return document


def parse(text: str, kind: Any, source: str) -> Any:
    """Parse YAML into the values of a setting or a section.

    Raises:
        ConfigError: the text is not YAML, or has a key twice.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return _Reader(source).value(root, kind, ()) if root is not None else {}
    except RecursionError as error:
        raise ConfigError(f"{source}: is nested too deeply, expected sections with settings") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        fix = "indent with spaces, not with tabs" if "\\t" in (error.problem or "") else ""
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{source}{line}: is not YAML: {problem}", fix) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source}: is not YAML: {' '.join(str(error).split())}") from error


def value_of(text: str, path: tuple[str, ...]) -> Any:
    """Parse the value that a flag gives to the setting at `path`.

    Raises:
        ConfigError: the text is not a value for that setting.
    """
    name = ".".join(path)
    kind = _kind_at(path)
    if not text:
        raise ConfigError(
            f"--{name} has no value", fix=f"write --{name} VALUE" + (", or null for none" * _is_optional(kind))
        )
    if kind is None and text[0] not in "{[":
        return _loose(text)
    if kind is None or _holds_settings(kind):
        return parse(text, kind, f"the value {text!r} of --{name}")
    if _is_optional(kind) and text.lower() in setting_types.NOTHING:
        return None
    return _scalar(text, kind, f"--{name}")


def below(kind: Any, key: str) -> Any:
    """Return the type expected at a key of a section; None if the key is unknown."""
    if kind is Config:
        return _LANGUAGES if key == "languages" else _SECTIONS.get(key)
    if kind == _LANGUAGES:
        return _LANGUAGE
    if kind == _LANGUAGE:
        return _SECTIONS[key] if key in PER_LANGUAGE else None
    if dataclasses.is_dataclass(kind):
        return {field.name: field.type for field in dataclasses.fields(kind)}.get(key)
    return None


def holds_several(path: tuple[str, ...]) -> bool:
    """Whether the setting is a list of texts, to which a repeated flag appends."""
    kind = _kind_at(path)
    return kind is not None and not _holds_settings(kind) and _base(kind) is tuple and _element(kind) is not float


class _Reader:
    """Converts YAML nodes to setting_types."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def value(self, node: yaml.Node, kind: Any, path: tuple[str, ...]) -> Any:
        self._nodes += 1
        place = f"{self._source}, line {node.start_mark.line + 1}"
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise ConfigError(f"{place}: too many values or levels, after aliases are expanded")
        if node.tag not in _TAGS:
            raise ConfigError(f"{place}: found the tag {node.tag}, expected plain values", fix="remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, kind, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, kind, path)
        if node.tag == _NULL:
            return {} if _holds_settings(kind) else None
        if kind is None or _holds_settings(kind):
            return _loose(node.value) if node.tag != _TEXT else node.value
        return _scalar(node.value, kind, f"{place}: {'.'.join(path)}")

    def _mapping(self, node: yaml.MappingNode, kind: Any, path: tuple[str, ...]) -> dict[str, Any]:
        lines: dict[str, int] = {}
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(
                    f"{self._source}, line {line}: found a list or a mapping, expected the name of a setting"
                )
            name = key.value
            if name in lines:
                raise ConfigError(
                    f"{self._source}: {'.'.join((*path, name))} is given twice, in lines {lines[name]} and {line}",
                    fix="keep one: only one of them would take effect",
                )
            lines[name] = line
            if key.tag == _MERGE:
                for part in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    shared = self.value(part, kind, (*path, name))
                    if not isinstance(shared, dict):
                        raise ConfigError(
                            f"{self._source}, line {line}: expected a mapping after <<, usually an alias such as *base"
                        )
                    merged = shared | merged
            else:
                own[name] = self.value(item, below(kind, name), (*path, name))
        return merged | own

    def _sequence(self, node: yaml.SequenceNode, kind: Any, path: tuple[str, ...]) -> list[Any]:
        if kind is None or _holds_settings(kind) or _base(kind) is not tuple:
            return [self.value(item, None, (*path, "")) for item in node.value]
        element = _element(kind)
        items = [self.value(item, element, (*path, "")) for item in node.value]
        return items if element is float else _each_once(items)


def _each_once(items: Iterable[Any]) -> list[Any]:
    parts: list[Any] = []
    for item in items:
        parts += setting_types.several(item) if isinstance(item, str) else [item]
    return list(dict.fromkeys(parts)) if all(isinstance(part, str) for part in parts) else parts


def _scalar(text: str, kind: Any, where: str) -> Any:
    base = _base(kind)
    if base is tuple:
        parts = setting_types.several(text)
        return [_loose(part) for part in parts] if _element(kind) is float else _each_once(parts)
    if base is bool:
        return setting_types.FLAGS.get(text.strip().lower(), text)
    if base in (int, float):
        return _loose(text)
    if not is_path(kind):
        return text
    try:
        return expanded(text)
    except ValueError as error:
        raise ConfigError(f"{where}: found {text!r}", fix=f"{error}") from error


def _loose(text: str) -> Any:
    """Read a number if the text is one. Used for number settings, and for values that are refused in any case."""
    try:
        return setting_types.number_of(text)
    except ValueError:
        return text


def _kind_at(path: tuple[str, ...]) -> Any:
    kind: Any = Config
    for key in path:
        kind = below(kind, key)
    return kind


def _holds_settings(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or kind in (_LANGUAGES, _LANGUAGE) or typing.get_origin(kind) is dict


def _is_optional(kind: Any) -> bool:
    return types.NoneType in typing.get_args(kind)


def _plain(kind: Any) -> Any:
    """Strip `| None` and the bounds from a type."""
    if types.NoneType in typing.get_args(kind):
        kind = next(each for each in typing.get_args(kind) if each is not types.NoneType)
    return typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _base(kind: Any) -> Any:
    plain = _plain(kind)
    origin = typing.get_origin(plain) or plain
    return str if origin is typing.Literal else origin


def _element(kind: Any) -> Any:
    return _base(typing.get_args(_plain(kind))[0])
