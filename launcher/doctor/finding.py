"""What a check found, as plain values, and the notes it is written into."""

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shards.errors import ReportedError

OK, WARNING, FAILED, NOT_CHECKED = "ok", "warning", "failed", "not checked"
ORIGIN_CALLS = 4
"""Of an unexpected error's traceback, shown in its fix."""


@dataclass(frozen=True)
class Finding:
    """One thing that is as it should be, or is not."""

    check: str
    status: str
    """`ok`, `warning` (the run works, but look at it), `failed` (it does not), or `not checked`."""
    found: str
    fix: str | None = None
    """What to do about it; None where there is nothing to do."""


@dataclass
class Notes:
    """The findings of an examination, in the order of its checks."""

    findings: list[Finding] = field(default_factory=list)
    _check: str = ""

    @contextlib.contextmanager
    def on(self, check: str) -> Iterator[None]:
        """Findings in this block belong to `check`; an error that ends it is one, and the examination goes on."""
        self.about(check)
        try:
            yield
        except ReportedError as error:
            self.error(error)
        except ImportError as error:
            self.fail(f"cannot be looked at: {error}", "install mms-dist and all it needs again: pip install -e .")
        except Exception as error:  # a check that breaks must not hide what the others find
            self.fail(
                f"cannot be looked at: {type(error).__name__}: {error}",
                f"if that does not tell what to fix, open an issue with it, the command, and where it arose: "
                f"{_origin(error)}",
            )

    def about(self, check: str) -> None:
        """Findings from here on belong to `check`."""
        self._check = check

    def ok(self, found: str) -> None:
        self._add(OK, found, None)

    def warn(self, found: str, fix: str) -> None:
        self._add(WARNING, found, fix)

    def fail(self, found: str, fix: str | None) -> None:
        self._add(FAILED, found, fix)

    def skip(self, why: str) -> None:
        """Nothing to look at, or no means to."""
        self._add(NOT_CHECKED, why, None)

    def error(self, error: ReportedError) -> None:
        """A failure in the words of the error that training would end with."""
        self.fail(error.found, error.fix)

    def of(self, status: str) -> list[Finding]:
        """The findings of this check so far with this status."""
        return [finding for finding in self.findings if (finding.check, finding.status) == (self._check, status)]

    def _add(self, status: str, found: str, fix: str | None) -> None:
        self.findings.append(Finding(self._check, status, found, fix))


def _origin(error: Exception) -> str:
    """The innermost calls, the last of them first: a traceback on one line, with no path of this machine."""
    calls = reversed(traceback.extract_tb(error.__traceback__)[-ORIGIN_CALLS:])
    return ", from ".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls)
