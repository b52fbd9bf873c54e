"""Find a sample's recording, JSON and text among its tar members, and parse the JSON and text."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from shards.audio.extensions import is_audio, readable_extensions
from shards.drops import Rejected

# Generous: a transcript covers 30 seconds of speech, and its JSON may also hold word times.
MAX_TEXT_BYTES = 16 << 20

_SHOWN_NAMES = 12

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_JSON_TYPES = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}


def audio_extension(extensions: Collection[str]) -> str:
    """Return the extension of the recording: a plain one, by `readable_extensions`, or the only `<name>.wav`.

    Raises:
        Rejected: `incomplete`, if there is no recording, or several of equal precedence.
    """
    order = readable_extensions()
    for extension in order:
        if extension in extensions:
            return extension
    dotted = [extension for extension in extensions if is_audio(extension)]
    if len({extension.rpartition(".")[0] for extension in dotted}) > 1:
        _reject(
            f"it has several recordings, {_listed(dotted)}: in webdataset, everything after the first dot of a name is "
            "the extension",
            fix="name them <key>.wav, with no dot in the key",
        )
    if not dotted:
        _reject(f"it has no audio member, only {_listed(extensions)}")
    return min(dotted, key=lambda extension: order.index(extension.rpartition(".")[2]))


def member_with(extensions: Collection[str], kind: str) -> str | None:
    """Return the extension of the JSON or text: `kind`, or else the only `<name>.<kind>`; None if there is none.

    Raises:
        Rejected: `incomplete`, if there are several.
    """
    if kind in extensions:
        return kind
    dotted = [extension for extension in extensions if extension.endswith(f".{kind}")]
    if len(dotted) > 1:
        _reject(
            f"it has several .{kind} members, {_listed(dotted)}",
            fix=f"name the one with the transcript <key>.{kind}",
        )
    return dotted[0] if dotted else None


def info_in(members: Mapping[str, memoryview], *, strict: bool = False) -> dict[str, Any]:
    """Parse the sample's JSON; empty if it has none.

    Args:
        strict: reject repeated keys. Used when indexing, so that reading an indexed sample need not check again.

    Raises:
        Rejected: `incomplete` if there are several JSON members, `too_large`, or `broken_text` if the member is not a
            JSON object.
    """
    extension = member_with(members, "json")
    if extension is None:
        return {}
    data = members[extension]
    _check_size(data, extension)
    try:
        info = json.loads(bytes(data), object_pairs_hook=_without_repetition if strict else None)
    except RecursionError:
        raise Rejected("broken_text", "its JSON is nested too deeply") from None
    except ValueError as error:
        raise Rejected("broken_text", f"its JSON cannot be read ({error})") from error
    if not isinstance(info, dict):
        raise Rejected("broken_text", "its JSON is not an object")
    return info


def text_in(members: Mapping[str, memoryview]) -> str | None:
    """Read the sample's `.txt`; None if it has none.

    Raises:
        Rejected: `incomplete` if there are several, `too_large`, or `broken_text` if it is not UTF-8 (UTF-16 is read if
            it begins with a byte order mark).
    """
    extension = member_with(members, "txt")
    if extension is None:
        return None
    data = members[extension]
    _check_size(data, extension)
    content = bytes(data)
    try:
        text = content.decode("utf-16" if content[:2] in _UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"its .{extension} is not UTF-8 (byte {content[error.start]:#04x} at {error.start})"
        raise Rejected("broken_text", found, fix="convert it") from error
    return text.strip()


def transcript_in(members: Mapping[str, memoryview], info: Mapping[str, Any], fields: Sequence[str | None]) -> str:
    """Return the transcript: the first of `fields` that the sample's JSON has. None in `fields` means the `.txt`.

    Raises:
        Rejected: `incomplete` if the sample has none of them, or as `text_in` and `check_string`.
    """
    for name in fields:
        if name is None:
            text = text_in(members)
            if text is not None:
                return text
        elif info.get(name) is not None:
            return check_string(info[name])
    if tuple(fields) == (None,):
        _reject(f"it has no .txt member, only {_listed(members)}")
    wanted = " or ".join(repr(name) for name in fields if name is not None)
    beside = "" if None not in fields else f", and it has no .txt, only {_listed(members)}"
    _reject(f"its JSON has no {wanted}, only {_listed(info)}{beside}")


def name_in(info: Mapping[str, Any], field: str) -> str | None:
    """Return a speaker, language or source from a sample's JSON, as valid text. Numbers count as names."""
    return _name_of(info.get(field))


def tags_in(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a sample's JSON that are names."""
    tags = info.get("tags")
    found = {_name_of(tag): _name_of(value) for tag, value in tags.items()} if isinstance(tags, dict) else {}
    return {tag: value for tag, value in found.items() if tag is not None and value is not None}


def _name_of(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and value else None


def check_string(raw: Any) -> str:
    """Return a raw transcript if it is a string.

    Raises:
        Rejected: `broken_text`.
    """
    if not isinstance(raw, str):
        found = _JSON_TYPES.get(type(raw), "null")
        raise Rejected("broken_text", f"its transcript is {found}, expected a string")
    return raw


def check_text(raw: str) -> str:
    """Return a raw transcript if it is valid text. Called when a sample is indexed.

    Raises:
        Rejected: `broken_text`.
    """
    if "\0" in raw:
        raise Rejected("broken_text", "its transcript contains zero bytes, as if UTF-16 was read as UTF-8")
    if not raw.isascii():
        try:
            raw.encode()
        except UnicodeEncodeError as error:
            detail = f"its transcript contains half a character (\\u{ord(raw[error.start]):x} at {error.start})"
            raise Rejected("broken_text", detail) from None
    return raw


def _check_size(data: memoryview, extension: str) -> None:
    if len(data) > MAX_TEXT_BYTES:
        raise Rejected("too_large", f"its .{extension} has {len(data):,} bytes, limit {MAX_TEXT_BYTES:,}")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is repeated")
    return found


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:_SHOWN_NAMES]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "") or "nothing"


def _reject(found: str, fix: str | None = None) -> NoReturn:
    raise Rejected("incomplete", found, fix)
