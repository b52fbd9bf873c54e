"""Validate a shard index and its sample table before use, since they may be damaged or written by another tool."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from shards import strict_json
from shards.drops import Rejected
from shards.schema import SAMPLE_RATE, frames_of
from shards.splits import SPLITS
from shards.tars.sample import SampleParser

# The integer columns of the sample table, with the types they have once loaded.
INTEGER_COLUMNS: dict[str, Any] = {
    "shard": np.int32,
    "offset": np.int64,
    "size": np.int64,
    "crc32": np.uint32,
    "samples": np.int32,
    "frames": np.int32,
    "label_length": np.int32,
    "required_frames": np.int32,
}
STRING_COLUMNS = ("key", "speaker")
SCORE_COLUMN = "align_score"
"""In tables of shards of which any utterance has a score."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SECONDS_TOLERANCE = 0.01  # the index rounds to milliseconds
# Texts that exercise every kind of rule. Numbers are separate, since some rules reject text with numbers.
_ANY_TEXTS = ("A a'b-c\u200dd", "23")


def parse_index(text: bytes) -> dict[str, Any]:
    """Parse the JSON object of an index.

    Raises:
        ValueError: the text is not a JSON object, repeats a key, or holds NaN or an infinite number.
    """
    content = strict_json.parse(text.decode())
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def check_content(content: Mapping[str, Any], language: str) -> None:
    """Check that an index has every required entry, with the right type.

    Raises:
        ValueError: names the first entry that is wrong.
    """
    if content.get("language", language) != language:
        _fail("language", content["language"], repr(language))
    if content.get("sample_rate", SAMPLE_RATE) != SAMPLE_RATE:
        _fail("sample_rate", content["sample_rate"], str(SAMPLE_RATE))
    splits = _object(content, "splits")
    for split in splits:
        if split not in SPLITS:
            _fail("splits", split, " or ".join(SPLITS))
        shards = _object(splits, split, "splits").get("shards")
        if not isinstance(shards, list):
            _fail(f"splits.{split}.shards", shards, "a list")
        for number, shard in enumerate(shards):
            _check_shard(shard, f"splits.{split}.shards[{number}]")
    for name, entry in _object(content, "files", default={}).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            _fail(f"files.{name}", entry, "bytes and sha256")
    for reason, entry in _object(content, "drops", default={}).items():
        examples = entry.get("examples") if isinstance(entry, dict) else None
        if not isinstance(examples, list) or not all(isinstance(example, str) for example in examples):
            _fail(f"drops.{reason}", entry, "count and examples")
        _whole(entry.get("count"), f"drops.{reason}.count")
    _whole(content.get("speakers", 0), "speakers")
    for split, found in _object(content, "characters_not_in_train", default={}).items():
        if not isinstance(found, dict):
            _fail(f"characters_not_in_train.{split}", found, "an object")
    for character, entry in _object(content, "outside_vocabulary", default={}).items():
        if len(character) != 1 or not isinstance(entry, dict) or not isinstance(entry.get("as"), str):
            _fail(f"outside_vocabulary.{character}", entry, "count and as")
        _whole(entry.get("count"), f"outside_vocabulary.{character}.count")
    for name, found in _object(content, "sources", default={}).items():
        if not isinstance(found, dict):
            _fail(f"sources.{name}", found, "an object")
        for split in found:
            where = f"sources.{name}.{split}"
            _whole(_object(found, split, f"sources.{name}").get("samples"), f"{where}.samples")
            seconds = found[split].get("seconds")
            if not isinstance(seconds, int | float) or isinstance(seconds, bool):
                _fail(f"{where}.seconds", seconds, "a number")
    _object(content, "build", default={})
    flags = _object(content, "flags", default={})
    if flags:
        _check_flags(flags)
    reading = _object(content, "reading", default={})
    if reading:
        _check_reading(reading, language)


def check_columns(table: Any) -> None:
    """Check that a pyarrow sample table has every required column, with the right type and without nulls.

    Raises:
        ValueError: names the first column that is wrong.
    """
    from pyarrow import types

    names = table.column_names
    lacking = [name for name in ("split", *STRING_COLUMNS, *INTEGER_COLUMNS) if names.count(name) != 1]
    if lacking:
        raise ValueError(f"found the columns {', '.join(names) or 'none'}; expected {lacking[0]} once")
    for name in ("split", *STRING_COLUMNS):
        kind = table.schema.field(name).type
        empty = name == "speaker" and types.is_null(kind)
        if not (types.is_string(kind) or types.is_large_string(kind) or empty):
            raise ValueError(f"its column {name} contains {kind}, expected strings")
    for name in INTEGER_COLUMNS:
        if not types.is_integer(table.schema.field(name).type):
            raise ValueError(f"its column {name} contains {table.schema.field(name).type}, expected whole numbers")
    if SCORE_COLUMN in names and not types.is_floating(table.schema.field(SCORE_COLUMN).type):
        kind = table.schema.field(SCORE_COLUMN).type
        raise ValueError(f"its column {SCORE_COLUMN} contains {kind}, expected numbers")
    for name in ("split", "key", *INTEGER_COLUMNS):
        if table.column(name).null_count:
            raise ValueError(f"its column {name} has rows without a value")


def check_rows(columns: Mapping[str, NDArray[Any]], shards: Sequence[Any], split: str) -> None:
    """Check that the rows of a split are within its shards (`ShardInfo`) and match the totals of each shard.

    Raises:
        ValueError: names the first row or shard that is wrong.
    """
    number = columns["shard"]
    _check_each((number >= 0) & (number < len(shards)), split, columns, "is in a shard that the index does not have")
    offset, size = columns["offset"], columns["size"]
    ends = np.array([shard.bytes for shard in shards], dtype=np.int64)[number]
    # Subtract instead of adding offset and size, which could overflow.
    inside = (offset >= 0) & (size > 0) & (offset <= ends) & (size <= ends - offset)
    _check_each(inside, split, columns, "is not within its shard")
    samples, frames = columns["samples"], columns["frames"]
    _check_each(
        (samples > 0) & (frames == frames_of(samples)), split, columns, "has frames that do not match its samples"
    )
    labels, needed = columns["label_length"], columns["required_frames"]
    _check_each((labels >= 0) & (needed >= labels), split, columns, "has required_frames below label_length")
    counts = np.bincount(number, minlength=len(shards))
    seconds = np.bincount(number, weights=samples, minlength=len(shards)) / SAMPLE_RATE
    for shard, count, length in zip(shards, counts, seconds, strict=True):
        if shard.samples != count or abs(shard.seconds - length) > _SECONDS_TOLERANCE:
            raise ValueError(
                f"it has {count:,} utterances, {length:,.3f} s, in {shard.name}, but the index says {shard.samples:,}, "
                f"{shard.seconds:,.3f} s"
            )


def _check_each(good: NDArray[np.bool_], split: str, columns: Mapping[str, NDArray[Any]], what: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        values = ", ".join(f"{name} {columns[name][row]}" for name in INTEGER_COLUMNS if name != "crc32")
        raise ValueError(f"row {row} of {split} {what}: {values}")


def _check_shard(shard: Any, where: str) -> None:
    if not isinstance(shard, dict):
        _fail(where, shard, "an object")
    name = shard.get("name")
    if not isinstance(name, str) or not name or "\0" in name or name.strip(".") == "":
        _fail(f"{where}.name", name, "the name of a tar")
    try:
        name.encode()
    except UnicodeEncodeError:
        _fail(f"{where}.name", name, "the name of a tar in UTF-8")
    for entry in ("samples", "bytes"):
        _whole(shard.get(entry), f"{where}.{entry}")
    seconds = shard.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
        _fail(f"{where}.seconds", seconds, "seconds")
    if not isinstance(shard.get("sha256"), str) or not _SHA256.fullmatch(shard["sha256"]):
        _fail(f"{where}.sha256", shard.get("sha256"), "64 hexadecimal digits")


def _check_flags(flags: Mapping[str, Any]) -> None:
    for name, threshold in _object(flags, "thresholds", "flags").items():
        if not isinstance(threshold, int | float) or isinstance(threshold, bool):
            _fail(f"flags.thresholds.{name}", threshold, "a number")
    if not isinstance(flags.get("compared_with"), list):
        _fail("flags.compared_with", flags.get("compared_with"), "a list of languages")
    for name, entry in _object(flags, "found", "flags").items():
        where = f"flags.found.{name}"
        if not isinstance(entry, dict) or not isinstance(entry.get("examples"), list):
            _fail(where, entry, "count, seconds, splits and examples")
        _whole(entry.get("count"), f"{where}.count")
        for split, count in _object(entry, "splits", where).items():
            _whole(count, f"{where}.splits.{split}")
        seconds = entry.get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            _fail(f"{where}.seconds", seconds, "a number")


def _check_reading(reading: Mapping[str, Any], language: str) -> None:
    fields = reading.get("text_fields", [reading.get("text_field")])
    if not isinstance(fields, list) or not fields or not all(name is None or isinstance(name, str) for name in fields):
        _fail("reading.text_fields", fields, "names of fields")
    if not isinstance(reading.get("normalise"), bool):
        _fail("reading.normalise", reading.get("normalise"), "true or false")
    _object(reading, "text_rules", "reading")
    for text in _ANY_TEXTS:
        try:
            SampleParser.of(language, reading).normalise(text)
        except Rejected:
            pass
        except Exception as error:  # invalid rules can fail in any way
            raise ValueError(f"its reading.text_rules are not valid in this version ({error})") from error


def _object(content: Mapping[str, Any], name: str, where: str = "", *, default: Any = None) -> dict[str, Any]:
    found = content.get(name, default)
    if not isinstance(found, dict):
        _fail(f"{where}.{name}" if where else name, found, "an object")
    return found


def _whole(value: Any, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        _fail(where, value, "a whole number")


def _fail(where: str, found: Any, expected: str) -> NoReturn:
    plain = {dict: "an object", list: "a list", type(None): "nothing"}
    shown = plain.get(type(found)) or json.dumps(found)[:60]
    raise ValueError(f"{where} is {shown}, expected {expected}")
