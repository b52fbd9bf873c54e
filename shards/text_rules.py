"""Read and validate the table of text rules, and look up the rules of a language."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from shards import storage
from shards.errors import ShardsError, StorageError
from shards.file_content import detect_placeholder_in
from shards.languages import parse_language
from shards.strict_yaml import StrictYamlError, line_of, load_strict
from shards.wording import nearest

SHIPPED = Path(__file__).with_name("text_rules.yaml")
# Version of the rules and of their meaning in shards/text/normaliser.py. Indexes of foreign shards store rules. Rules
# without a version are of version 1 (shards/text/version_1.py).
VERSION = 2

_CHOICES: dict[str, tuple[object, ...]] = {
    "form": ("NFC", "NFKC"),
    "lower": (True, False),
    "dotless_i": (True, False),
    "apostrophes": ("inside", "start", "end", "unpaired", "anywhere", "space", "drop"),
    "hyphens": ("space", "keep", "drop", "anywhere"),
    "joiners": ("keep", "drop"),
    "punctuation": ("keep", "drop"),
    "number_dot": ("ordinal", "stop"),
    "diacritics": ("keep", "strip"),
    "romanise": (True, False),
}
KEPT = ("punctuation", "case")
"""What the text can keep that it drops by default."""
_PLACES = ("inside", "start", "end")


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """The rules of one language; `text_rules.yaml` explains each rule."""

    form: Literal["NFC", "NFKC"] = "NFKC"
    lower: bool = True
    dotless_i: bool = False
    replace: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    apostrophes: str = "inside"
    apostrophe_before: str = ""
    hyphens: str = "space"
    joiners: str = "drop"
    numbers: str = "drop"
    numbers_up_to: int = 99
    numbers_unsure: tuple[int, ...] = ()
    numbers_not_beside: tuple[str, ...] = ()
    number_dot: str = "ordinal"
    version: int = VERSION
    # Rules that were added later, with defaults under which older indexes give the same text as ever.
    markup: str | tuple[str, ...] = "drop"
    punctuation: str = "drop"
    diacritics: str = "keep"
    diacritics_except: str = ""
    romanise: str = ""
    """The ISO 639-3 code that uroman needs; empty: not at all."""

    def as_dict(self) -> dict[str, Any]:
        """Return the rules for a build's fingerprint and an index, in a form that JSON preserves.

        Later rules are left out where they do nothing, so that shards built before them count as unchanged.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}


_NAMES = [rule.name for rule in fields(TextRules)]
_LATER = {rule.name: rule.default for rule in fields(TextRules) if _NAMES.index(rule.name) > _NAMES.index("version")}
_KNOWN = [rule.name for rule in fields(TextRules) if rule.name != "version"]
_TABLES = ("replace", "letters", "marks")


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """The user's options for text: a table (a path or URL) that overrides the shipped one, what the text keeps (of
    `KEPT`), and the rule `markup` for every language (None: that of the tables)."""

    table: str | Path | None = None
    keep: tuple[str, ...] = ()
    markup: Literal["drop", "remove"] | None = None

    @property
    def rules(self) -> dict[str, Any]:
        """The rules that override those of the tables."""
        return {
            **({"lower": False} if "case" in self.keep else {}),
            **({"punctuation": "keep"} if "punctuation" in self.keep else {}),
            **({"markup": self.markup} if self.markup else {}),
        }


def load_rules(language: str, options: RuleOptions = RuleOptions()) -> TextRules:
    """Return the rules of a language from the shipped table, overridden by those of `options`.

    Raises:
        ShardsError: a table cannot be read, or holds an unknown rule or value.
    """
    merged: dict[str, Any] = {}
    for place in filter(None, (SHIPPED, options.table)):
        table = _load(str(place))
        languages = table.get("languages") or {}
        for entry in (table.get("default"), languages.get(language.partition("-")[0]), languages.get(language)):
            for name, value in (entry or {}).items():
                merged[name] = merged.get(name, {}) | value if name in _TABLES else value
    merged |= options.rules
    merged["romanise"] = language.partition("-")[0] if merged.get("romanise") else ""
    return _rules_of(merged)


def stored_rules(stored: Mapping[str, Any]) -> TextRules:
    """Return the rules that an index of this version stores.

    Raises:
        ShardsError: the rules are of another version.
    """
    if stored.get("version") != VERSION or set(stored) - {*_KNOWN, "version"}:
        raise ShardsError(
            f"the index contains text rules of version {stored.get('version')!r}, expected {VERSION} or earlier",
            fix="read it with the mms-dist that wrote it, or index again with 'mms-dist shards index --force'",
        )
    return _rules_of(stored)


def _rules_of(values: Mapping[str, Any]) -> TextRules:
    known: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return TextRules(**known)


@functools.cache
def _load(place: str) -> dict[str, Any]:
    try:
        content = storage.read_bytes(place)
        if content and (instead := detect_placeholder_in(content, place.rpartition("/")[0] or ".")):
            raise ShardsError(f"text rules {place} {instead.found}", fix=instead.fix)
        table, lines = load_strict(content.decode("utf-8-sig"))
    except (FileNotFoundError, StorageError) as error:
        why = error.found if isinstance(error, StorageError) else "there is no such file"
        raise ShardsError(f"text rules {place} cannot be read: {why}", fix="check --text-rules") from error
    except UnicodeDecodeError as error:
        raise ShardsError(f"text rules {place} are not UTF-8: {error}", fix="convert them with iconv") from error
    except StrictYamlError as error:
        where = f"text rules {place}:{error.line}" if error.line else f"text rules {place}"
        if "given twice" in error.problem:
            raise ShardsError(f"{where}: {error.problem}", fix="merge the two into one") from error
        raise ShardsError(f"{where} are not YAML: {error.problem}") from error
    return _Checked(place, {} if table is None else table, lines).table


class _Checked:
    """A validated table of text rules.

    Raises:
        ShardsError: names the file, the line, what was found and what was expected.
    """

    def __init__(self, place: str, table: Any, lines: dict[tuple[str | int, ...], int]) -> None:
        self._place = place
        self._lines = lines
        if not isinstance(table, dict) or set(table) - {"default", "languages"}:
            unknown = next((name for name in table if name not in ("default", "languages")), "") if table else ""
            self._fail(
                [unknown] if isinstance(table, dict) else [],
                f"must hold only 'default' and 'languages', as {SHIPPED.name} does"
                + (f"; found {unknown!r}{nearest(str(unknown), ('default', 'languages'))}" if unknown else ""),
            )
        self.table: dict[str, Any] = table
        languages = {} if table.get("languages") is None else table["languages"]
        if not isinstance(languages, dict):
            self._fail(["languages"], "'languages' must map codes to rules, as in 'tur: {numbers: tr}'")
        if table.get("default") is not None:
            self._check_entry(["default"], table["default"])
        for code, entry in languages.items():
            try:
                parse_language(code)
            except ShardsError as error:
                fix = f"{error.fix or 'correct the code'}, or remove its section"
                self._fail(["languages", code], error.found, fix)
            self._check_entry(["languages", code], entry)

    def _fail(self, where: list[Any], problem: str, fix: str | None = None) -> None:
        line = line_of(self._lines, tuple(where))
        raise ShardsError(f"text rules {self._place}{f':{line}' if line else ''}: {problem}", fix)

    def _check_entry(self, where: list[Any], entry: Any) -> None:
        name = where[-1]
        if not isinstance(entry, dict):
            self._fail(where, f"{name} must hold rules, such as {{numbers: drop}}; found {entry!r}")
        for rule, value in entry.items():
            if rule not in _KNOWN:
                known = f"use one of {', '.join(_KNOWN)}"
                self._fail([*where, rule], f"{name} has the unknown rule {rule!r}{nearest(rule, _KNOWN)}", known)
            expected = _expected(rule, value)
            if expected:
                self._fail([*where, rule], f"{name}.{rule} is {value!r}, expected {expected}")
            if rule in _TABLES:
                self._check_strings([*where, rule], value)

    def _check_strings(self, where: list[Any], value: Any) -> None:
        name = ".".join(where[-2:])
        if not isinstance(value, dict):
            self._fail(where, f'{name} must map strings to strings, such as {{"ß": ss}}; found {value!r}')
        for old, new in value.items():
            here = [*where, old]
            if not isinstance(new, str):
                self._fail(here, f"{name} must map strings to strings; {old!r} is {new!r}", "put it in quotes")
            if not old:
                self._fail(here, f"{name} has an empty key, expected the text to replace", "remove it")
            if where[-1] == "marks" and (len(old) != 1 or new not in _PLACES):
                self._fail(here, f"{name} has {old!r}: {new!r}, expected one character and one of {', '.join(_PLACES)}")
            if where[-1] == "letters" and (len(old) != 1 or len(new) != 1):
                self._fail(here, f"{name} has {old!r}: {new!r}, expected one character and the letter it stands for")


def _expected(rule: str, value: Any) -> str | None:
    """Return what a rule's value must be, if it is not; else None."""
    if rule in _CHOICES:
        choices = _CHOICES[rule]
        same_kind = isinstance(value, type(choices[0]))
        return None if same_kind and value in choices else f"one of {', '.join(map(_as_yaml, choices))}"
    if rule == "numbers" and value != "drop":
        from num2words import CONVERTER_CLASSES

        if not isinstance(value, str) or value not in CONVERTER_CLASSES:
            return f"'drop' or a language of num2words: {', '.join(sorted(CONVERTER_CLASSES))}"
    if rule == "numbers_up_to" and (type(value) is not int or not 0 < value < 10**15):
        return "the largest number to spell out, such as 99"
    if rule == "numbers_unsure" and not (isinstance(value, list) and all(type(item) is int for item in value)):
        return "a list of numbers, such as [1, 21]"
    if rule == "numbers_not_beside" and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return "a list of words, such as [may, june]"
    if rule in ("apostrophe_before", "diacritics_except") and not isinstance(value, str):
        return 'letters, such as "y"'
    if (
        rule == "markup"
        and value not in ("drop", "remove")
        and not (isinstance(value, list) and all(isinstance(item, str) for item in value))
    ):
        return "drop, remove, or a list of what is in the brackets, such as [noise, laughs]"
    return None


def _as_yaml(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)
