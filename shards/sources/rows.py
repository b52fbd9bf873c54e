"""What a source yields: its utterances, not yet decoded, and everything else found in it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shards.drops import Drop
from shards.errors import Problem, SourceError
from shards.sources.audio_reference import AudioReference
from shards.wording import printable

# No utterance is this long. A longer field is a mistake, such as a missing closing quote.
MAX_FIELD_CHARACTERS = 100_000

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


class RowError(SourceError):
    """One row of a source is unusable. A source yields it instead of the row, and the user may choose to skip it.

    Args:
        where: the place in the source, for an error.
        reason: one of `drops.REASONS`.
        found: what is there.
        fix: how to fix it.
        example: the place as it is shown among the rows that were skipped; by default, `where`.
        language: the row's language, if that is known.
        line: the row's line, if the source has lines.
    """

    def __init__(
        self,
        where: str,
        reason: str,
        found: str,
        fix: str | None = None,
        *,
        example: str | None = None,
        language: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(f"{where}: {found}", fix)
        self.where = where
        self.left_out = LeftOut(Drop(reason, example or where, found, fix), language, line=line)

    def at(self, example: str, language: str | None, line: int | None = None) -> RowError:
        """Return the same error with a place to show among the skipped rows, and what else is known of the row."""
        drop = self.left_out.drop
        fix = None if drop.fix is None else printable(drop.fix)
        return RowError(
            self.where,
            drop.reason,
            printable(drop.found),
            fix,
            example=printable(example),
            language=language,
            line=line,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One utterance. `name` is the recording's path as the source writes it; `where` is the place in the source.

    `text` is None if there is no transcript; `detail` then says what was found instead. `start_seconds` and
    `end_seconds` select a segment of a longer recording. `tags` is whatever else the source knows about the utterance,
    such as the speaker's accent; it is stored with the sample. `part` is the name of the source
    in a list of several. `channel` is the one to use, from 1; None mixes all. `align_score` is how well
    the text fits the audio, by the model `align_model`.
    """

    audio: AudioReference
    name: str
    text: str | None
    language: str
    where: str
    split: str | None = None
    speaker: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    source: str | None = None
    tags: Mapping[str, str] | None = None
    detail: str = ""
    part: str | None = None
    channel: int | None = None
    align_score: float | None = None
    align_model: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something in a source that is left out of the build.

    `language` is None if unknown; `kind` is the extension of a recording that is not read, such as `.m4a`; `line` is
    the line of a manifest.
    """

    drop: Drop
    language: str | None
    kind: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of a source that cannot be read, all in one language. That language is not built."""

    language: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Note:
    """A remark about the source for the user. `language` is the one that it concerns; None: all."""

    text: str
    language: str | None = None


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8.

    Raises:
        RowError: the data is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = "is UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "is not UTF-8"
        encoding = "UTF-16" if found == "is UTF-16" else "LATIN1"
        raise RowError(
            where,
            "row_encoding",
            f"{found}: {error.reason} {data[error.start]:#04x} at byte {error.start + 1}",
            fix=f"convert the file from the encoding that it has, as with: iconv -f {encoding} -t UTF-8",
        ) from error


def check_text(text: str, name: str, where: str) -> str:
    """Return `text` if it can be written to a shard and can be the text of one utterance.

    Raises:
        RowError: the text holds NUL or half of a surrogate pair, or is too long.
    """
    if len(text) > MAX_FIELD_CHARACTERS:
        raise RowError(
            where,
            "row_value",
            f"{name} has {len(text):,} characters, expected at most {MAX_FIELD_CHARACTERS:,}",
            fix="a tab, a quote or the end of a line may be missing",
        )
    if "\0" in text:
        raise RowError(
            where, "row_encoding", f"{name} contains a NUL character", fix="remove it, or convert the file to UTF-8"
        )
    if not text.isascii() and (half := _HALF_SURROGATE.search(text)):
        raise RowError(
            where,
            "row_encoding",
            f"{name} contains half of a surrogate pair, \\u{ord(half[0]):04x}, as left by text that was cut within a "
            "character",
            fix="write the whole character or remove it",
        )
    return text
