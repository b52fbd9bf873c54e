"""The exceptions a user can cause.

Every message names what was found, what was expected, and the flag or command that fixes it.
The command line prints the message and exits with the error's code; a traceback is kept for our own bugs.
"""

from enum import IntEnum

from shards.errors import ReportedError


class ExitCode(IntEnum):
    """Exit statuses of every command; `slurm/lib.sh` has the same ones (a test compares)."""

    DONE = 0
    FAILED = 1
    """The work, or a part of it, failed; the same command may do better."""
    USER_ERROR = 2
    """Something has to be fixed before the work begins; the message says what."""
    INCOMPLETE = 65
    """The run has ended, and some languages did not reach their end: they need manual action (EX_DATAERR)."""
    STALLED = 70
    """Automatic restarts made no progress (EX_SOFTWARE)."""
    PREEMPTED = 75
    """Stopped with everything saved: run the same command again (EX_TEMPFAIL)."""
    INTERRUPTED = 130
    """By Ctrl-C (128 + SIGINT)."""
    READER_GONE = 141
    """Of the output (128 + SIGPIPE)."""


class MmsDistError(ReportedError):
    """Base of everything a user, a file or a machine can cause in the training system."""

    exit_code: int = ExitCode.USER_ERROR


class ConfigError(MmsDistError):
    """The configuration is unreadable, has an unknown key, a wrong type or a value that cannot work."""


class BaseModelError(MmsDistError):
    """The base model is missing, unreadable or not of the shape MMS adapters need."""


class DataError(MmsDistError):
    """The shards cannot serve the run: no utterances, an unknown language, a damaged file."""


class CheckpointError(MmsDistError):
    """A checkpoint cannot be written, or none whole can be read."""


class NothingToExport(MmsDistError):
    """No language of the run is trained: there is nothing that would be worth handing out."""

    exit_code = ExitCode.FAILED


class TrainingError(MmsDistError):
    """The run cannot go on."""


class DeviceError(MmsDistError):
    """A GPU does not work: nothing to fix in the run, which another machine, or this one after a reset, can do."""

    exit_code = ExitCode.FAILED


class CommError(MmsDistError):
    """Another rank is gone, or cannot be reached: nothing to fix on this one."""

    exit_code = ExitCode.FAILED


class PeerError(MmsDistError):
    """Another rank has failed and says why; this one has nothing to add, and ends with the same exit code."""

    def __init__(self, found: str, exit_code: int, fix: str | None = None) -> None:
        super().__init__(found, fix)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[object, ...]:
        return PeerError, (self.found, self.exit_code, self.fix)


class IncompleteError(TrainingError):
    """The run had ended with languages in quarantine, and nothing about them has changed since."""

    exit_code = ExitCode.INCOMPLETE


class StalledError(TrainingError):
    """Restarts make no progress: another would end like the ones before it."""

    exit_code = ExitCode.STALLED


class StoppedEarly(BaseException):
    """A stop was requested before the first round, and something else would have had to be waited for.

    Not an `Exception`: whatever tries a failed download or connection again must not catch it.
    """

    exit_code = ExitCode.PREEMPTED
