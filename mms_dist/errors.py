"""The exceptions a user can cause.

Every message says what was found, what was expected, and which flag or command fixes it.
The command line prints the message and exits with the error's code; only our own bugs print a traceback.
"""

from collections.abc import Sequence
from enum import IntEnum

from shards.errors import ReportedError


class ExitCode(IntEnum):
    """Exit statuses of every command; `slurm/lib.sh` has the same ones (a test compares them)."""

    DONE = 0
    FAILED = 1
    """All or part of the work failed; running the same command again may succeed."""
    USER_ERROR = 2
    """Something must be fixed before the work can start; the message says what."""
    INCOMPLETE = 65
    """The run has ended with some languages unfinished: they need manual action (EX_DATAERR)."""
    STALLED = 70
    """Automatic restarts made no progress (EX_SOFTWARE)."""
    PREEMPTED = 75
    """Stopped with everything saved: run the same command again (EX_TEMPFAIL)."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C (128 + SIGINT)."""
    READER_GONE = 141
    """The reader of the output closed the pipe (128 + SIGPIPE)."""


class MmsDistError(ReportedError):
    """Base class of every error that a user, a file or a machine can cause in the training system."""

    exit_code: int = ExitCode.USER_ERROR


class ConfigError(MmsDistError):
    """The configuration is unreadable, or has an unknown key, a wrong type or a value that cannot work."""


class BaseModelError(MmsDistError):
    """The base model is missing, unreadable or does not have the shape that MMS adapters need."""


class DataError(MmsDistError):
    """The shards cannot be used for the run: no utterances, an unknown language, a damaged file."""


class CheckpointError(MmsDistError):
    """A checkpoint cannot be written, or no complete one can be read."""


class NothingToExport(MmsDistError):
    """No language of the run is trained, so there is nothing to export."""

    exit_code = ExitCode.FAILED


class TrainingError(MmsDistError):
    """The run cannot continue."""


class DeviceError(MmsDistError):
    """A GPU does not work. The run itself is fine: use another machine, or this one after a reset."""

    exit_code = ExitCode.FAILED


class CommError(MmsDistError):
    """Another rank is gone or cannot be reached; there is nothing to fix on this one."""

    exit_code = ExitCode.FAILED


class PeerError(MmsDistError):
    """Another rank failed and reported why; this one ends with the same exit code."""

    def __init__(self, found: str, exit_code: int, fix: str | None = None) -> None:
        super().__init__(found, fix)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[object, ...]:
        return PeerError, (self.found, self.exit_code, self.fix)


class IncompleteError(TrainingError):
    """The run ended with languages in quarantine, and nothing about them has changed since."""

    exit_code = ExitCode.INCOMPLETE


class StalledError(TrainingError):
    """Restarts make no progress; another one would end the same way."""

    exit_code = ExitCode.STALLED


class StoppedEarly(BaseException):
    """A stop was requested before the first round, while the process was waiting for something.

    Not an `Exception`, so that code that retries a download or a connection does not catch it.
    """

    exit_code = ExitCode.PREEMPTED


def raise_all(problems: Sequence[MmsDistError]) -> None:
    """Raise the problem if there is one, or an error of the first one's kind that lists them if there are several."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise type(problems[0])("; ".join(map(str, problems)))
