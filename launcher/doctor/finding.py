"""The findings of checks, as plain values, and the notes that collect them."""

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shards.errors import ReportedError

OK, WARNING, FAILED, NOT_CHECKED = "ok", "warning", "failed", "not checked"
ORIGIN_CALLS = 4
"""Number of calls of an unexpected error's traceback that its fix shows."""


@dataclass(frozen=True)
class Finding:
    """One result of a check."""

    check: str
    status: str
    """`ok`, `warning` (the run works, but should be looked at), `failed` (it does not work), or `not checked`."""
    found: str
    fix: str | None = None
    """What to do about it; None if there is nothing to do."""


@dataclass
class Notes:
    """The findings of all checks, in order."""

    findings: list[Finding] = field(default_factory=list)
    _check: str = ""

    @contextlib.contextmanager
    def on(self, check: str) -> Iterator[None]:
        """Assign the findings in this block to `check`. An error that ends the block becomes a finding."""
        self.about(check)
        try:
            yield
        except ReportedError as error:
            self.error(error)
        except ImportError as error:
            self.fail(f"cannot be checked: {error}", "reinstall mms-dist and its dependencies: pip install -e .")
        except Exception as error:  # a check that breaks must not hide what the others find
            self.fail(
                f"cannot be checked: {type(error).__name__}: {error}",
                "if the error does not show what to fix, open an issue with the error, the command and its origin: "
                f"{_origin(error)}",
            )

    def about(self, check: str) -> None:
        """Assign the findings from here on to `check`."""
        self._check = check

    def ok(self, found: str) -> None:
        self._add(OK, found, None)

    def warn(self, found: str, fix: str) -> None:
        self._add(WARNING, found, fix)

    def fail(self, found: str, fix: str | None) -> None:
        self._add(FAILED, found, fix)

    def skip(self, why: str) -> None:
        """Note that there is nothing to check, or no way to check it."""
        self._add(NOT_CHECKED, why, None)

    def error(self, error: ReportedError) -> None:
        """Note a failure with the message of the error that training would end with."""
        self.fail(error.found, error.fix)

    def of(self, status: str) -> list[Finding]:
        """Return the findings of the current check so far that have this status."""
        return [finding for finding in self.findings if (finding.check, finding.status) == (self._check, status)]

    def _add(self, status: str, found: str, fix: str | None) -> None:
        self.findings.append(Finding(self._check, status, found, fix))


def _origin(error: Exception) -> str:
    """Return the innermost calls, last call first: a traceback on one line, without this machine's paths."""
    calls = reversed(traceback.extract_tb(error.__traceback__)[-ORIGIN_CALLS:])
    return ", from ".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls)
