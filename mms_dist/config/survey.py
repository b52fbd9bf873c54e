"""Find all problems of a configuration, and return the valid rest of it, so that other checks can run."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from mms_dist.config.document import read_document
from mms_dist.config.load import (
    assigned,
    describe,
    long_warmups,
    unknown_keys,
)
from mms_dist.config.schema import Config
from mms_dist.errors import ConfigError

_Document = dict[str, Any]


def survey_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> tuple[Config, list[ConfigError]]:
    """Return the configuration, with defaults in place of wrong settings, and all problems.

    Raises:
        ConfigError: the file cannot be read, or an override is malformed.
    """
    document = assigned(read_document(path), overrides)
    problems = list(unknown_keys(document))
    document = _without_unknown(document, lambda part: part)
    config = None
    while config is None:
        try:
            config = Config(**document)
        except ValidationError as error:
            problems += describe(error)
            document = _without(document, [problem["loc"] for problem in error.errors(include_url=False)])
    problems += long_warmups(config, ())
    own = dict(config.languages)
    for code in config.languages:
        try:
            problems += long_warmups(config, [code])
        except ValidationError as error:
            problems += describe(error, prefix=f"languages.{code}.*.")
            del own[code]
    return Config(**(document | {"languages": own})), problems


def _without_unknown(values: _Document, whole: Callable[[_Document], _Document]) -> _Document:
    """Return the largest part of `values` without unknown keys; `whole` turns a part into a document."""
    kept = {}
    for key, value in values.items():
        if not any(unknown_keys(whole({key: value}))):
            kept[key] = value
        elif isinstance(value, dict):
            inner = _without_unknown(value, _inside(whole, key))
            if not any(unknown_keys(whole({key: inner}))):
                kept[key] = inner
    return kept


def _inside(whole: Callable[[_Document], _Document], key: str) -> Callable[[_Document], _Document]:
    return lambda part: whole({key: part})


def _without(document: _Document, paths: Sequence[tuple[int | str, ...]]) -> _Document:
    """Return a copy without the settings at `paths`; a path that names no setting removes its whole section."""
    copy = {name: dict(values) if isinstance(values, dict) else values for name, values in document.items()}
    for section, *rest in paths:
        if rest and isinstance(copy.get(str(section)), dict):
            copy[str(section)].pop(str(rest[0]), None)
        else:
            copy.pop(str(section), None)
    return copy
