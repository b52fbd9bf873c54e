"""The exceptions a user can cause.

Every message names what was found, what was expected, and the flag or command that mends it.
The command line prints the message and exits with the error's code; a traceback is kept for our own bugs.
"""

EXIT_FAILED = 1
EXIT_USER = 2
EXIT_INCOMPLETE = 65
"""EX_DATAERR of sysexits.h: the run has ended, and some languages did not reach their end. The same command does no
better before someone has looked at them. Exit statuses of training: 0 finished · 1 failed · 2 something to fix before
it begins · 65 incomplete · 70 stalled · 75 stopped, resumable · 130 interrupted."""
EXIT_STALLED = 70  # EX_SOFTWARE of sysexits.h
EXIT_PREEMPTED = 75  # EX_TEMPFAIL: run the same command again


class MmsDistError(Exception):
    """Base of everything a user, a file or a machine can cause in the training system."""

    exit_code = EXIT_USER


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

    exit_code = EXIT_FAILED


class TrainingError(MmsDistError):
    """The run cannot go on."""


class DeviceError(MmsDistError):
    """A GPU does not work: nothing to fix in the run, which another machine, or this one after a reset, can do."""

    exit_code = EXIT_FAILED


class CommError(MmsDistError):
    """Another rank is gone, or cannot be reached: nothing to mend on this one."""

    exit_code = EXIT_FAILED


class PeerError(MmsDistError):
    """Another rank has failed and says why; this one has nothing to add, and ends with the same exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class IncompleteError(TrainingError):
    """The run had ended with languages in quarantine, and nothing about them has changed since."""

    exit_code = EXIT_INCOMPLETE


class StalledError(TrainingError):
    """Restarts make no progress: another would end like the ones before it."""

    exit_code = EXIT_STALLED


class StoppedEarly(BaseException):
    """A stop was requested before the first round, and something else would have had to be waited for.

    Not an `Exception`: whatever tries a failed download or connection again must not catch it.
    """

    exit_code = EXIT_PREEMPTED
