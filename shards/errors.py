"""Errors that a user of the shards can cause, and fix. The command line prints them and exits with 2, or with their
own `exit_code`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ReportedError(Exception):
    """What was found and how to fix it, apart; as text they are one line.

    Attributes:
        found: what is wrong, with what was expected where that is not obvious.
        fix: the flag, the command or the change that helps; None where `found` says it or nothing can be done.
    """

    def __init__(self, found: str, fix: str | None = None) -> None:
        super().__init__(found, fix)  # pickle calls the class with these
        self.found = found
        self.fix = fix

    def __str__(self) -> str:
        return self.found if self.fix is None else f"{self.found}; {self.fix}"


class ShardsError(ReportedError):
    """Something about recordings, transcripts or shards is not as it must be."""


class SourceError(ShardsError):
    """A manifest or a folder of recordings cannot be understood."""


class IncompleteBuildError(ShardsError):
    """Some languages could not be built; the others are in place."""

    exit_code = 1


class IndexFileError(ShardsError):
    """A shard index is missing, unreadable, of another schema, or does not know what was asked of it."""


class UnknownLanguageError(IndexFileError):
    """There are no shards of a language that was asked for."""


class StorageError(ShardsError):
    """A local or remote place cannot be read or listed."""


class TruncatedShardError(ShardsError):
    """A shard is missing, or not as long as its index says."""

    def __init__(
        self, shard: str, *, bytes_found: int | None, bytes_expected: int, fix: str, told_by: str = "its index says"
    ) -> None:
        found = "is missing" if bytes_found is None else f"has {bytes_found:,} bytes"
        super().__init__(f"shard {shard} {found} ({told_by} {bytes_expected:,} bytes)", fix)
        self.shard = shard
        self.bytes_found = bytes_found
        self.bytes_expected = bytes_expected
        self.told_by = told_by

    def __reduce__(self) -> tuple[object, ...]:
        return _truncated, (self.shard, self.bytes_found, self.bytes_expected, self.fix, self.told_by)


def _truncated(shard: str, found: int | None, expected: int, fix: str, told_by: str) -> TruncatedShardError:
    return TruncatedShardError(shard, bytes_found=found, bytes_expected=expected, fix=fix, told_by=told_by)


class DamagedSampleError(ShardsError):
    """One utterance cannot be read; all the others can."""

    def __init__(self, language: str, key: str, shard: str, reason: str, row: int | None = None) -> None:
        where = language if row is None else f"{language}, row {row}"  # others may have the same key
        super().__init__(f"utterance {key} ({where}) in {shard}: {reason}")
        self.language = language
        self.key = key
        self.shard = shard
        self.reason = reason
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        return DamagedSampleError, (self.language, self.key, self.shard, self.reason, self.row)


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = 0.5) -> str:
    """`" (did you mean 'x'?)"` for the candidate closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=cutoff)
    return f" (did you mean {close[0]!r}?)" if close else ""
