"""Language codes: ISO 639-3 as MMS writes them, and what other ways to write a language stand for.

Training uses the codes of MMS: ISO 639-3, optionally with a script or dialect. Corpora write `ro`, `ro_ro`, `ro-RO`,
`ron_Latn` or `Romanian`. A two-letter code (ISO 639-1) may name a group of languages, or one language in several
scripts, and each of these is trained separately.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

from shards.errors import ShardsError
from shards.language_table import Language, language_table, spelling_of

_CODE = re.compile(r"[a-z]{3}(-(script|dialect)_[a-z0-9]+)?")
# Codes that ISO 639-3 reserves for local use.
_LOCAL_USE = re.compile(r"q[a-t][a-z]")
# A locale: language, script, region or variant, as in pt-BR, ron_Latn, cmn_hans_cn, es_419.
_LOCALE = re.compile(r"(?P<base>[a-z]{2,3})(-(?P<script>[a-z]{4}))?(-([a-z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*")
# How MMS names the scripts in its codes, by ISO 15924 code.
_MMS_SCRIPTS = {
    "Arab": "arabic",
    "Cans": "syllabics",
    "Cyrl": "cyrillic",
    "Deva": "devanagari",
    "Ethi": "ethiopic",
    "Hans": "simplified",
    "Hant": "traditional",
    "Khmr": "khmer",
    "Latn": "latin",
    "Telu": "telugu",
    "Tfng": "tifinagh",
}
# Scripts that contain another: Japanese is written in kana and Han, Korean in Hangul, Chinese in either kind of Han.
_SAME_SCRIPT = {"Hang": "Kore", "Hira": "Jpan", "Hrkt": "Jpan", "Kana": "Jpan"}
_NEAREST_SHOWN = 3


class LanguageError(ShardsError):
    """No language, or several, are written like this. `candidates` are their codes, none if it is unknown."""

    def __init__(self, found: str, fix: str | None = None, candidates: Sequence[str] = ()) -> None:
        super().__init__(found, fix)
        self.candidates = tuple(candidates)

    def __reduce__(self) -> tuple[object, ...]:
        return LanguageError, (self.found, self.fix, self.candidates)


def resolve_language(written: object) -> str:
    """Return the training code for a language as any corpus may write it.

    A code of MMS or of ISO 639-3 stands for itself, even where MMS has another code for the same language: see
    `language_note`. `False` is what YAML makes of Norwegian's `no`.

    Args:
        written: `ron`, `ro`, `ro_ro` (FLEURS), `pt-BR` (Common Voice, BCP 47), `ron_Latn`, `Romanian`.

    Raises:
        LanguageError: it may be several languages, which the fix lists, or is none; the fix then names the nearest.
    """
    if isinstance(written, bool) or (isinstance(written, str) and written.strip() in ("False", "false")):
        if str(written).strip().lower() == "true":
            raise LanguageError("language code True is not text", fix="write the code in quotes")
        raise _ambiguous("no", f"language code {written}, as YAML reads no,")
    text = "" if written is None else str(written).strip()
    if not text:
        raise LanguageError("the language is empty", fix="write a code such as 'ron'")
    codes = language_codes(text)
    if len(codes) == 1:
        return codes[0]
    if codes:
        raise _ambiguous(text, f"language {text!r}")
    raise LanguageError(f"language {text!r} is unknown", fix=_nearest_fix(text))


@functools.lru_cache(maxsize=65536)
def language_codes(text: str) -> tuple[str, ...]:
    """Return the training codes that `text` may stand for: one if it is clear, none if it is unknown."""
    table = language_table()
    text = text.strip()
    if text in table.by_code or _LOCAL_USE.fullmatch(text):
        return (text,)
    if _CODE.fullmatch(text) and (text[:3] in table.by_code or _LOCAL_USE.fullmatch(text[:3])):
        return (text,)
    spelling = spelling_of(text)
    if spelling in table.by_code:
        return (spelling,)
    if found := table.written(text):
        return tuple(language.code for language in found)
    locale = _LOCALE.fullmatch(spelling)
    return _of_locale(locale["base"], (locale["script"] or "").capitalize()) if locale else ()


def is_locale(text: str) -> bool:
    """Whether `text` has the form of a code, `ro`, `pt-BR`, `ron_Latn`, `es_419`, and is not a name."""
    return bool(_LOCALE.fullmatch(spelling_of(text)))


def _of_locale(base: str, script: str) -> tuple[str, ...]:
    """Return the codes of the languages written as `base`, in this script if one is given."""
    table = language_table()
    named = table.written(base)
    if not script:
        return (base,) if base in table.by_code else tuple(language.code for language in named)
    script = _SAME_SCRIPT.get(script, script)
    in_script = [one for one in (*table.of_base(base), *named) if one.script in (script, "")]
    own = [one for one in in_script if one.models] or in_script
    if own:
        return tuple(dict.fromkeys(one.code for one in own))
    bases = {one.base for one in named} or ({base} if base in table.by_code else set())
    # A script in which MMS does not have the language: its own code, written as MMS would.
    return tuple(f"{one}-script_{_MMS_SCRIPTS.get(script, script.lower())}" for one in sorted(bases))


def matching_languages(query: str) -> list[Language]:
    """Return the languages that `query` may stand for; for a name, also those whose name contains it. MMS's first."""
    table = language_table()
    part = spelling_of(query)
    codes = language_codes(query)
    meant = [table.by_code[code] for code in codes if code in table.by_code]
    bases = {code.partition("-")[0] for code in codes}
    others = [
        one
        for one in table
        if one not in meant
        and (
            one.base in bases
            or (
                not (meant and is_locale(query)) and any(part in spelling_of(name) for name in (one.name, *one.aliases))
            )
        )
    ]
    return [*meant, *sorted(others, key=lambda one: not one.models)]


def language_note(code: str) -> str | None:
    """Return a note if MMS has no adapter of this name, so that training starts from a new one; else None."""
    table = language_table()
    known = table.by_code.get(code)
    if known and known.models:
        return None
    base = table.by_code.get(code.partition("-")[0])
    name = f"{code} ({known.name})" if known else code
    relatives = [one for one in table if one.models and base and _is_related(one, base)]
    if not relatives:
        return f"{name}: MMS has no adapter of this language; training starts from a new one"
    listed = _listed(one.code for one in relatives[:5]) + (" …" if len(relatives) > 5 else "")
    return f"{name}: MMS has no adapter of this name; training starts from a new one. Related ones of MMS: {listed}"


def _is_related(one: Language, base: Language) -> bool:
    return one.base in (base.code, base.macrolanguage) or base.code == one.macrolanguage


def may_be_same_language(one: str, other: str) -> bool:
    """Whether two ways to write a language may mean the same one, whatever its script; True if either is unknown."""
    return not (_groups(one) and _groups(other)) or not _groups(one).isdisjoint(_groups(other))


def _groups(text: str) -> set[str]:
    table = language_table()
    bases = {code.partition("-")[0] for code in language_codes(text)}
    if not bases and _CODE.fullmatch(text):
        return {text}
    return bases | {table.by_code[base].macrolanguage for base in bases if base in table.by_code} - {""}


def parse_language(code: str) -> str:
    """Return `code` if it has the form of a training code: ISO 639-3, optionally with a script or dialect.

    Raises:
        ShardsError: it has not; names what to write.
    """
    if _CODE.fullmatch(code):
        return code
    if hint := advice(code):
        raise ShardsError(f"language code {code!r} is not ISO 639-3: expected three lower-case letters", fix=hint)
    raise ShardsError(
        f"language code {code!r} is not ISO 639-3: expected three lower-case letters such as 'ron' (not 'ro', "
        "'RON' or 'Romanian'), optionally with a script as in 'srp-script_latin'"
    )


def advice(code: str) -> str:
    """Return what to write instead of `ro`, `zh-CN` or `Romanian`; empty if it is unknown."""
    codes = language_codes(code)
    if not codes:
        return ""
    if len(codes) == 1:
        return f"write {codes[0]!r}"
    return f"{code.strip()!r} may be several, write one of {', '.join(map(repr, codes))}"


def _ambiguous(text: str, found: str) -> LanguageError:
    codes = language_codes(text)
    return LanguageError(
        f"{found} may be several", fix=f"write the one that is meant: {_listed(codes)}", candidates=codes
    )


def _nearest_fix(text: str) -> str:
    close = language_table().nearest(text, _NEAREST_SHOWN)
    codes = dict.fromkeys(code for spelling in close for code in language_codes(spelling))
    fix = "write a code of ISO 639-3 such as 'ron' ('mms-dist languages NAME' finds it)"
    if _CODE.fullmatch(text):
        fix = f"{fix}, or one of qaa … qtz, which are free for local use"
    return f"the nearest are {_listed(codes)}; {fix}" if codes else fix


def _listed(codes: Iterable[str]) -> str:
    table = language_table()
    return ", ".join(f"{code} ({table.by_code[code].name})" if code in table.by_code else code for code in codes)
