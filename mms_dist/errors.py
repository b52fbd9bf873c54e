"""The exceptions a user can cause.

Every message names what was found, what was expected, and the flag or command that mends it.
The command line prints the message and exits with 2; a traceback is kept for our own bugs.
"""


class MmsDistError(Exception):
    """Base of everything a user, a file or a machine can cause in the training system."""


class ConfigError(MmsDistError):
    """The configuration is unreadable, has an unknown key, a wrong type or a value that cannot work."""


class BaseModelError(MmsDistError):
    """The base model is missing, unreadable or not of the shape MMS adapters need."""


class DataError(MmsDistError):
    """The shards cannot serve the run: no utterances, an unknown language, a damaged file."""


class CheckpointError(MmsDistError):
    """A checkpoint cannot be written, or none whole can be read."""


class TrainingError(MmsDistError):
    """The run cannot go on."""
