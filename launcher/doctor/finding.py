"""A finding: one result of a check, as plain values. A check yields them with the functions in this file."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from shards.errors import ReportedError

OK, WARNING, FAILED, NOT_CHECKED = "ok", "warning", "failed", "not checked"


@dataclass(frozen=True)
class Finding:
    """One result of a check."""

    check: str
    """The name of the check. Checks leave it empty, and the registry fills it in."""
    status: str
    """`ok`, `warning` (the run works, but should be looked at), `failed` (it does not work), or `not checked`."""
    found: str
    fix: str | None = None
    """The fix; None if there is nothing to do."""


Findings = Iterator[Finding]
"""The result of a check."""


def ok(found: str) -> Finding:
    return Finding("", OK, found)


def warning(found: str, fix: str) -> Finding:
    return Finding("", WARNING, found, fix)


def failed(found: str, fix: str | None) -> Finding:
    return Finding("", FAILED, found, fix)


def failed_with(error: ReportedError) -> Finding:
    """Return a failure with the message of the error that training would end with."""
    return failed(error.found, error.fix)


def not_checked(why: str) -> Finding:
    """Return that there is nothing to check, or no way to check it."""
    return Finding("", NOT_CHECKED, why)


def count_failures(findings: Iterable[Finding]) -> Generator[Finding, None, int]:
    """Yield the findings, and return how many of them are failures: `failures = yield from count_failures(…)`."""
    failures = 0
    for finding in findings:
        failures += finding.status == FAILED
        yield finding
    return failures


def format_bytes(count: float) -> str:
    """Return `5.8 MiB`, `1.4 GiB`, `320 GiB` or `nothing`."""
    if count == 0:
        return "nothing"
    gib = count / 2**30
    if gib < 1:
        return f"{count / 2**20:,.1f} MiB"
    return f"{gib:,.1f} GiB" if gib < 100 else f"{gib:,.0f} GiB"
