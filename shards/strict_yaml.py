"""Parse YAML strictly: a repeated key is an error that names both lines."""

from __future__ import annotations

from typing import Any

import yaml

Path = tuple[str | int, ...]
_MERGE = "tag:yaml.org,2002:merge"
_STRING = "tag:yaml.org,2002:str"


class StrictYamlError(ValueError):
    """The text is not YAML, or gives a key twice; `line` counts from 1 (None: unknown)."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class _Loader(yaml.SafeLoader):
    """Keeps keys as literal text: `no` is a key, not a boolean."""


def load_strict(text: str) -> tuple[Any, dict[Path, int]]:
    """Return the content of a YAML text, and the line of every key and list item by its path from the top.

    Raises:
        StrictYamlError: the text is not YAML, holds several documents, or gives a key twice.
    """
    loader = _loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines: dict[Path, int] = {}
        _note_lines(node, (), lines, set())
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise StrictYamlError(
            " ".join(part for part in (error.context, error.problem) if part), mark.line + 1 if mark else None
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise StrictYamlError(str(error), None) from error
    except StrictYamlError:
        raise
    except (ValueError, TypeError) as error:  # an invalid date or number
        raise StrictYamlError(str(error), None) from error
    finally:
        loader.dispose()


def _loader(text: str) -> _Loader:
    try:
        return _Loader(text)
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise StrictYamlError(str(error).replace("\n", " "), None) from error


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """Return the line of the entry at `path`, or of its nearest parent (entries repeated by an alias have no line)."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _note_lines(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> None:
    """Record the lines of everything below `node`, check for repeated keys, and make all keys text."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        own: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise StrictYamlError("a key is not text", line)
            if key.tag == _MERGE:
                _note_lines(value, path, lines, seen)
                continue
            if key.value in own:
                raise StrictYamlError(f"{key.value!r} is given twice, in lines {own[key.value]} and {line}", line)
            own[key.value] = line
            key.tag = _STRING
            lines[*path, key.value] = line
            _note_lines(value, (*path, key.value), lines, seen)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[*path, number] = item.start_mark.line + 1
            _note_lines(item, (*path, number), lines, seen)
