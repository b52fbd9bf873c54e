"""From a YAML file and dotted flags to a validated `Config`.

All problems of a configuration are reported at once, each with its path; an unknown key names the nearest valid one.
"""

import dataclasses
import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mms_dist.config.schema import PER_LANGUAGE, SHARED_BY_ALL, Config
from mms_dist.errors import ConfigError
from mms_dist.files import replace_text


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read `path` and apply overrides such as `--optim.lr 5e-4` or `--optim.lr=5e-4`.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is wrong.
    """
    source = f"{path} with {' '.join(overrides)}" if overrides else str(path)
    return parse_config(read_document(path), overrides, source=source)


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The file's sections as they are written.

    Raises:
        ConfigError: the file is missing or not YAML.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {error.strerror}; pass --config with an existing file "
            "(examples are in configs/train/)"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: found a {type(document).__name__}, expected sections such as `optim:`")
    return document


def parse_config(document: dict[str, Any], overrides: Sequence[str] = (), *, source: str = "configuration") -> Config:
    """Validate plain values with overrides applied.

    Raises:
        ConfigError: naming every wrong key and value.
    """
    document = assigned(document, overrides)
    problems = list(unknown_keys(document))
    if not problems:
        try:
            config = Config(**document)
            problems = [*long_warmups(config, ()), *_language_problems(config)]
        except ValidationError as error:
            problems = list(describe(error))
    if problems:
        raise ConfigError(f"{source}: " + "\n  ".join(problems))
    return config


def write_config(config: Config, path: Path) -> None:
    """Write the configuration as YAML.

    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(path, config.to_yaml())


def assigned(document: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The document with overrides applied.

    Raises:
        ConfigError: one of them is none.
    """
    for path, text in _flags(overrides):
        document = _assign(document, path.split("."), text)
    return document


def _flags(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--a.b value` and `--a.b=value` as pairs."""
    rest = iter(overrides)
    for flag in rest:
        if not flag.startswith("--") or len(flag) == 2:
            raise ConfigError(f"found {flag!r}, expected a setting such as --optim.lr 5e-4")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            value = next(rest, "")
            if value == "":
                raise ConfigError(f"--{name} has no value: write --{name} VALUE")
        yield name, value


def _assign(document: dict[str, Any], path: list[str], text: str) -> dict[str, Any]:
    """A copy of `document` with the value at `path` replaced by `text`, read as YAML."""
    copy = dict(document)
    if len(path) == 1:
        try:
            copy[path[0]] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"cannot read the value {text!r} of {path[0]}: {error}") from error
        return copy
    inner = copy.get(path[0]) or {}
    if not isinstance(inner, dict):
        raise ConfigError(f"{path[0]} holds the value {inner!r}; it has no setting {'.'.join(path[1:])!r}")
    copy[path[0]] = _assign(inner, path[1:], text)
    return copy


def unknown_keys(document: dict[str, Any]) -> Iterator[str]:
    """A line for every key that is no setting, and every section that holds none."""
    sections = {field.name: field for field in dataclasses.fields(Config)}
    for name, values in document.items():
        if name not in sections:
            yield _unknown(str(name), str(name), list(sections))
        elif name == "languages":
            yield from _unknown_overrides(values)
        elif not isinstance(values, dict):
            yield f"{name}: found {values!r}, expected settings under it"
        else:
            yield from _unknown_fields(name, name, values)


def _unknown_overrides(languages: Any) -> Iterator[str]:
    if not isinstance(languages, dict):
        yield f"languages: found {languages!r}, expected `<code>: {{optim: {{lr: 5e-4}}}}`"
        return
    for code, own in languages.items():
        if not isinstance(own, dict):
            yield f"languages.{code}: found {own!r}, expected sections such as `optim:`"
            continue
        for section, values in own.items():
            where = f"languages.{code}.{section}"
            if section not in PER_LANGUAGE:
                yield _unknown(where, str(section), list(PER_LANGUAGE))
            elif not isinstance(values, dict):
                yield f"{where}: found {values!r}, expected settings under it"
            else:
                yield from _unknown_fields(where, section, values)
                for field in SHARED_BY_ALL.get(section, ()):
                    if field in values:
                        yield f"{where}.{field} is one value for the whole run; set {section}.{field} instead"


def _unknown_fields(where: str, section: str, values: dict[str, Any]) -> Iterator[str]:
    kind = {field.name: field.type for field in dataclasses.fields(Config)}[section]
    valid = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in valid:
            yield _unknown(f"{where}.{key}", str(key), valid)


def _unknown(where: str, key: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else ""
    return f"unknown key {where!r}; {hint or 'valid here:'}" + ("" if hint else f" {', '.join(valid)}")


def long_warmups(config: Config, codes: Iterable[str]) -> Iterator[str]:
    """A warm-up that is cut off by the last step would train at a fraction of the rate, without a word."""
    everyone = [("optim", config.optim)] if not codes else []
    for where, optim in [*everyone, *((f"languages.{code}.optim", config.for_language(code).optim) for code in codes)]:
        if optim.warmup_steps > optim.steps:
            yield (
                f"{where}: found warmup_steps {optim.warmup_steps} and steps {optim.steps}, expected a warm-up that "
                f"ends before the training does; lower {where}.warmup_steps"
            )


def _language_problems(config: Config) -> Iterator[str]:
    for code in config.languages:
        try:
            yield from long_warmups(config, [code])
        except ValidationError as error:
            yield from describe(error, prefix=f"languages.{code}.*.")


def describe(error: ValidationError, prefix: str = "") -> Iterator[str]:
    """A line for every value that is wrong."""
    for problem in error.errors(include_url=False):
        where = prefix + ".".join(str(part) for part in problem["loc"])
        yield f"{where}: found {problem['input']!r}; {problem['msg'][0].lower()}{problem['msg'][1:]}"
