"""Load a validated `Config` from a YAML file and dotted flags.

All problems of a configuration are reported at once, each with its path. For an unknown key, the error names the
closest valid one.
"""

import dataclasses
import difflib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mms_dist.config.document import holds_several, read_document, value_of
from mms_dist.config.schema import NEED_GROUPS, PER_LANGUAGE, SHARED_BY_ALL, Balance, Config
from mms_dist.errors import ConfigError
from mms_dist.files import replace_text
from mms_dist.run_directory.paths import RunPaths
from shards.errors import ShardsError
from shards.languages import parse_language

MAX_SHOWN = 200
"""Characters of a wrong value shown in an error."""


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read `path` and apply overrides such as `--optim.lr 5e-4` or `--optim.lr=5e-4`.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or a value is wrong.
    """
    source = f"{path} with {_shortened(shlex.join(overrides))}" if overrides else str(path)
    return parse_config(read_document(path), overrides, source=source)


def parse_config(document: dict[str, Any], overrides: Sequence[str] = (), *, source: str = "configuration") -> Config:
    """Apply overrides to plain values and validate them.

    Raises:
        ConfigError: keys or values are wrong; the message lists all of them.
    """
    document = apply_overrides(document, overrides)
    problems = list(_unknown_keys(document))
    if not problems:
        try:
            config = Config(**document)
            problems = [*_unfit_together(config, ()), *_language_problems(config)]
        except ValidationError as error:
            problems = list(_describe(error))
    if len(problems) == 1:
        raise ConfigError(f"{source}: {problems[0].found}", problems[0].fix)
    if problems:
        raise ConfigError(f"{source}: " + "\n  ".join(map(str, problems)))
    return config


def validate_all(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> tuple[Config, list[ConfigError]]:
    """Read a configuration with all its problems, and with defaults in place of wrong settings.

    So further checks can run on a configuration that `load_config` refuses.

    Raises:
        ConfigError: the file cannot be read, or an override is malformed.
    """
    document = apply_overrides(read_document(path), overrides)
    problems = list(_unknown_keys(document))
    document = _without_unknown(document, lambda part: part)
    config = None
    while config is None:
        try:
            config = Config(**document)
        except ValidationError as error:
            problems += _describe(error)
            document = _without(document, [problem["loc"] for problem in error.errors(include_url=False)])
    problems += _unfit_together(config, ())
    own = dict(config.languages)
    for code in config.languages:
        try:
            problems += _unfit_together(config, [code])
        except ValidationError as error:
            problems += _describe(error, prefix=f"languages.{code}.*.")
            del own[code]
    return Config(**(document | {"languages": own})), problems


def write_config(config: Config, path: Path) -> None:
    """Write the configuration as YAML.

    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(path, config.to_yaml())


def apply_overrides(document: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the document with overrides applied.

    Raises:
        ConfigError: an override is malformed, or two overrides give a setting different values.
    """
    given: dict[str, str] = {}
    for name, text in _flags(overrides):
        path = tuple(name.split("."))
        if name in given and holds_several(path):
            text = f"{given[name]},{text}"
        elif given.get(name, text) != text:
            raise ConfigError(
                f"--{name} is given twice, with {given[name]!r} and with {text!r}", fix="keep one of them"
            )
        given[name] = text
        document = _assign(document, path, (), value_of(text, path))
    return document


def _flags(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield `--a.b value` and `--a.b=value` as (name, value) pairs."""
    rest = iter(overrides)
    for flag in rest:
        if not flag.startswith("--") or len(flag) == 2:
            raise ConfigError(f"found {flag!r}, expected a setting such as --optim.lr 5e-4")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            value = next(rest, "")
            if value.startswith("--"):
                raise ConfigError(f"--{name} has no value, found {value!r} after it", fix=f"write --{name} VALUE")
        yield name, value


def _assign(document: dict[str, Any], path: tuple[str, ...], above: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a copy of `document`, whose own path is `above`, with the value at `path` replaced."""
    key, rest = path[0], path[1:]
    if not rest:
        return document | {key: value}
    inner = document.get(key)
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise ConfigError(f"{'.'.join((*above, key))} is the value {inner!r}, so it has no setting {'.'.join(rest)!r}")
    return document | {key: _assign(inner, rest, (*above, key), value)}


def _unknown_keys(document: dict[str, Any]) -> Iterator[ConfigError]:
    """Yield an error for every unknown key, and for every section that is not a mapping."""
    sections = {field.name: field for field in dataclasses.fields(Config)}
    for name, values in document.items():
        if name not in sections:
            yield _unknown(str(name), str(name), list(sections))
        elif name == "languages":
            yield from _unknown_overrides(values)
        elif not isinstance(values, dict):
            yield ConfigError(f"{name}: found {values!r}, expected settings under it")
        else:
            yield from _unknown_fields(name, name, values)


def _unknown_overrides(languages: Any) -> Iterator[ConfigError]:
    if not isinstance(languages, dict):
        yield ConfigError(f"languages: found {languages!r}, expected `<code>: {{optim: {{lr: 5e-4}}}}`")
        return
    for code, own in languages.items():
        try:
            parse_language(str(code))
        except ShardsError as error:
            yield ConfigError(f"languages.{code}: {error.found}", error.fix)
            continue
        if not isinstance(own, dict):
            yield ConfigError(f"languages.{code}: found {own!r}, expected sections such as `optim:`")
            continue
        for section, values in own.items():
            where = f"languages.{code}.{section}"
            if section not in PER_LANGUAGE:
                yield _unknown(where, str(section), list(PER_LANGUAGE))
            elif not isinstance(values, dict):
                yield ConfigError(f"{where}: found {values!r}, expected settings under it")
            else:
                yield from _unknown_fields(where, section, values)
                for field in SHARED_BY_ALL.get(section, ()):
                    if field in values:
                        yield ConfigError(
                            f"{where}.{field} cannot be set per language", f"set {section}.{field} for the whole run"
                        )


def _unknown_fields(where: str, section: str, values: dict[str, Any]) -> Iterator[ConfigError]:
    kind = {field.name: field.type for field in dataclasses.fields(Config)}[section]
    valid = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in valid:
            yield _unknown(f"{where}.{key}", str(key), valid)


def _unknown(where: str, key: str, valid: list[str]) -> ConfigError:
    if "." in key:
        fix = f"in a file, write it as sections: `{key.replace('.', ': {', 1)}: …}}`"
    elif near := difflib.get_close_matches(key, valid, n=1, cutoff=0.5):
        fix = f"did you mean {near[0]!r}?"
    else:
        fix = f"valid here: {', '.join(valid)}"
    return ConfigError(f"unknown key {where!r}", fix)


def _long_warmups(config: Config, codes: Iterable[str]) -> Iterator[ConfigError]:
    """Yield an error for every warm-up longer than training: the learning rate would silently stay too low."""
    shared = [("optim", config.optim)] if not codes else []
    for where, optim in [*shared, *((f"languages.{code}.optim", config.for_language(code).optim) for code in codes)]:
        if optim.warmup_steps > optim.steps:
            yield ConfigError(
                f"{where}: found warmup_steps {optim.warmup_steps} and steps {optim.steps}, expected a warm-up no "
                "longer than training",
                fix=f"lower {where}.warmup_steps",
            )


def _ungrouped(config: Config, codes: Iterable[str]) -> Iterator[ConfigError]:
    """Yield an error for every balance of groups that does not say which groups: it would silently do nothing.

    `by: null` of a language itself switches the balance of the run off for it.
    """
    sections = [] if codes else [("balance", config.balance)]
    for code in codes:
        if "by" not in config.languages.get(code, {}).get("balance", {}):
            sections.append((f"languages.{code}.balance", config.for_language(code).balance))
    for where, balance in sections:
        given = [name for name in NEED_GROUPS if getattr(balance, name) != getattr(Balance(), name)]
        if given and balance.by is None:
            yield ConfigError(
                f"{where}: found {given[0]} without groups",
                fix=f"set {where}.by to speaker, source or a tag such as tag:accent",
            )


def _unfit_together(config: Config, codes: Iterable[str]) -> Iterator[ConfigError]:
    """Yield an error for settings that do not fit together: of the run, or of languages with settings of their own."""
    yield from _long_warmups(config, codes)
    yield from _ungrouped(config, codes)


def _language_problems(config: Config) -> Iterator[ConfigError]:
    for code in config.languages:
        try:
            yield from _unfit_together(config, [code])
        except ValidationError as error:
            yield from _describe(error, prefix=f"languages.{code}.*.")


def _describe(error: ValidationError, prefix: str = "") -> Iterator[ConfigError]:
    """Yield an error for every wrong value."""
    for problem in error.errors(include_url=False):
        where = prefix + ".".join(str(part) for part in problem["loc"])
        found = "nothing (null)" if problem["input"] is None else _shortened(repr(problem["input"]))
        message = problem["msg"].removeprefix("Value error, ")
        message += "; to use the default, remove the line" if problem["input"] is None else ""
        yield ConfigError(f"{where}: found {found}", f"{message[0].lower()}{message[1:]}")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def configured_steps(run_directory: str | os.PathLike[str]) -> Callable[[str], int] | None:
    """Return a function from a language to its steps, by the configuration of the run's last start.

    None if that configuration cannot be read: then only the time left of a run may be unknown.
    """
    try:
        config = load_config(RunPaths(run_directory).config)
    except ConfigError:
        return None
    return lambda language: config.for_language(language).optim.steps


def _without_unknown(values: dict[str, Any], whole: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return the largest part of `values` without unknown keys; `whole` turns a part into a document."""
    kept = {}
    for key, value in values.items():
        if not any(_unknown_keys(whole({key: value}))):
            kept[key] = value
        elif isinstance(value, dict):
            inner = _without_unknown(value, _inside(whole, key))
            if not any(_unknown_keys(whole({key: inner}))):
                kept[key] = inner
    return kept


def _inside(whole: Callable[[dict[str, Any]], dict[str, Any]], key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda part: whole({key: part})


def _without(document: dict[str, Any], paths: Sequence[tuple[int | str, ...]]) -> dict[str, Any]:
    """Return a copy without the settings at `paths`; a path that names no setting removes its whole section."""
    copy = {name: dict(values) if isinstance(values, dict) else values for name, values in document.items()}
    for section, *rest in paths:
        if rest and isinstance(copy.get(str(section)), dict):
            copy[str(section)].pop(str(rest[0]), None)
        else:
            copy.pop(str(section), None)
    return copy
