"""Errors that a user can cause and fix. The command line prints them and exits with 2, or with their `exit_code`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its fix (None if `found` implies it or there is none). As text: `found; fix`."""

    found: str
    fix: str | None = None

    def __str__(self) -> str:
        return "; ".join(filter(None, (self.found, self.fix)))


class ReportedError(Exception):
    """An error with what was found and how to fix it. As text, it is one line: `found; fix`.

    Attributes:
        found: what is wrong, and what was expected if that is not obvious.
        fix: the flag, command or change that fixes it; None if `found` implies it or there is none.
    """

    def __init__(self, found: str, fix: str | None = None) -> None:
        super().__init__(found, fix)  # unpickling calls the class with these arguments
        self.found = found
        self.fix = fix

    @property
    def problem(self) -> Problem:
        """The same as data."""
        return Problem(self.found, self.fix)

    def __str__(self) -> str:
        return str(self.problem)


class ShardsError(ReportedError):
    """Recordings, transcripts or shards are not usable as they are."""


class SourceError(ShardsError):
    """A manifest or folder of recordings cannot be used."""


class IncompleteBuildError(ShardsError):
    """Some languages could not be built; the others are in place."""

    exit_code = 1


_SHOWN_FAILURES = 3


def failure_of(failed: Mapping[str, Problem], *, others: int) -> ShardsError:
    """Return the error for languages that failed, given the number of `others` that did not."""
    kind = IncompleteBuildError if others else SourceError
    if len(failed) + others == 1:
        (problem,) = failed.values()
        return kind(problem.found, problem.fix)
    shown = [f"{code}: {problem}" for code, problem in list(failed.items())[:_SHOWN_FAILURES]]
    more = [f"and {len(failed) - len(shown)} more languages failed"] if len(failed) > len(shown) else []
    return kind("; ".join(shown + more))


class IndexFileError(ShardsError):
    """A shard index is missing, unreadable, of another schema version, or lacks what was requested."""


class MissingColumnError(IndexFileError):
    """A sample table of an earlier version lacks a column."""


class UnknownLanguageError(IndexFileError):
    """There are no shards of a requested language."""


class StorageError(ShardsError):
    """A local or remote location cannot be read or listed."""


class TruncatedShardError(ShardsError):
    """A shard is missing, or does not have the length that its index says.

    Args:
        declared_by: words for the message: what states the expected length.
    """

    def __init__(
        self, shard: str, *, bytes_found: int | None, bytes_expected: int, fix: str, declared_by: str = "its index says"
    ) -> None:
        found = "is missing" if bytes_found is None else f"has {bytes_found:,} bytes"
        super().__init__(f"shard {shard} {found} ({declared_by} {bytes_expected:,} bytes)", fix)
        self.shard = shard
        self.bytes_found = bytes_found
        self.bytes_expected = bytes_expected
        self.declared_by = declared_by

    def __reduce__(self) -> tuple[object, ...]:
        return _truncated, (self.shard, self.bytes_found, self.bytes_expected, self.fix, self.declared_by)


def _truncated(shard: str, found: int | None, expected: int, fix: str, declared_by: str) -> TruncatedShardError:
    return TruncatedShardError(shard, bytes_found=found, bytes_expected=expected, fix=fix, declared_by=declared_by)


class DamagedSampleError(ShardsError):
    """One utterance cannot be read; the others can."""

    def __init__(
        self, language: str, key: str, shard: str, reason: str, row: int | None = None, fix: str | None = None
    ) -> None:
        where = language if row is None else f"{language}, row {row}"  # keys are not unique, rows are
        super().__init__(f"utterance {key} ({where}) in {shard}: {reason}", fix)
        self.language = language
        self.key = key
        self.shard = shard
        self.reason = reason if fix is None else f"{reason}; {fix}"
        self.row = row
        self._arguments = (language, key, shard, reason, row, fix)

    def __reduce__(self) -> tuple[object, ...]:
        return DamagedSampleError, self._arguments


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, or its type if it has no text."""
    return str(error).strip().split("\n")[0] or type(error).__name__
