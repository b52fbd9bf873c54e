"""Why the audio of an utterance can not be used; `reason` is the name it is counted by (`shards.drops`)."""

from __future__ import annotations


class UndecodableError(Exception):
    """These bytes are not audio that libsndfile reads; the message says why."""

    reason = "undecodable"


class CutShortError(UndecodableError):
    """A recording ends before its container says, or without the mark that ends every whole one."""

    reason = "cut_short"


class NotFiniteError(UndecodableError):
    """Some of the samples are NaN or infinite."""

    reason = "not_finite"


class FloatScaleError(UndecodableError):
    """Float samples are not scaled to -1 … 1, as by someone who wrote integers as floats."""

    reason = "float_scale"
