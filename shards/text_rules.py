"""The table of text rules: read, checked, and looked up by language."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from shards.errors import ShardsError, nearest

SHIPPED = Path(__file__).with_name("text_rules.yaml")

_CHOICES = {
    "form": ("NFC", "NFKC"),
    "lower": (True, False),
    "apostrophes": ("inside", "anywhere", "space", "drop"),
    "hyphens": ("space", "keep", "drop"),
    "joiners": ("keep", "drop"),
}


@dataclass(frozen=True)
class TextRules:
    """The rules of one language; `text_rules.yaml` says what each means."""

    form: Literal["NFC", "NFKC"] = "NFKC"
    lower: bool = True
    replace: dict[str, str] = field(default_factory=dict)
    apostrophes: str = "inside"
    hyphens: str = "space"
    joiners: str = "drop"
    numbers: str = "drop"

    def as_dict(self) -> dict[str, Any]:
        """For a build's fingerprint."""
        return asdict(self)


def load_rules(language: str, override: Path | None = None) -> TextRules:
    """The rules of a language from the shipped table, with those of `override` laid over them.

    Raises:
        ShardsError: if a table can not be read, or holds a rule or value that is not known.
    """
    merged: dict[str, Any] = {}
    for path in (SHIPPED, override) if override else (SHIPPED,):
        table = _load(path)
        languages = table.get("languages") or {}
        for entry in (table.get("default"), languages.get(language.partition("-")[0]), languages.get(language)):
            replaced = merged.get("replace", {}) | (entry or {}).get("replace", {})
            merged.update((entry or {}) | {"replace": replaced})
    return TextRules(**merged)


@functools.cache
def _load(path: Path) -> dict[str, Any]:
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ShardsError(f"text rules {path} can not be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ShardsError(f"text rules {path} are not YAML: {error}") from error
    if not isinstance(table, dict) or set(table) - {"default", "languages"}:
        raise ShardsError(f"text rules {path} must hold 'default' and 'languages' only, as {SHIPPED.name} does")
    languages = table.get("languages") or {}
    if not isinstance(languages, dict):
        raise ShardsError(f"text rules {path}: 'languages' must map codes to rules, as in 'tur: {{numbers: tr}}'")
    for where, entry in [("default", table.get("default") or {}), *languages.items()]:
        _check(path, where, entry)
    return table


def _check(path: Path, where: str, entry: Any) -> None:
    known = [rule.name for rule in fields(TextRules)]
    if not isinstance(entry, dict):
        raise ShardsError(f"text rules {path}: {where} must hold rules, as {{numbers: drop}}")
    for name, value in entry.items():
        if name not in known:
            raise ShardsError(
                f"text rules {path}: {where} has the rule {name!r}{nearest(str(name), known)}; "
                f"known: {', '.join(known)}"
            )
        if name in _CHOICES and value not in _CHOICES[name]:
            expected = ", ".join(str(choice) for choice in _CHOICES[name])
            raise ShardsError(f"text rules {path}: {where}.{name} is {value!r}, expected one of {expected}")
        if name == "numbers" and value != "drop":
            from num2words import CONVERTER_CLASSES

            if value not in CONVERTER_CLASSES:
                raise ShardsError(
                    f"text rules {path}: {where}.numbers is {value!r}, expected 'drop' or a language of num2words: "
                    f"{', '.join(sorted(CONVERTER_CLASSES))}"
                )
        if name == "replace" and not (
            isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair)
        ):
            raise ShardsError(f"text rules {path}: {where}.replace must map strings to strings")
