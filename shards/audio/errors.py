"""Errors for audio that cannot be used. `reason` is the name under which `shards.drops` counts it."""

from __future__ import annotations


class UndecodableError(Exception):
    """The data is not audio that libsndfile reads; the message says why."""

    reason = "undecodable"


class CutShortError(UndecodableError):
    """A recording ends before the length its container declares, or without its end mark."""

    reason = "cut_short"


class NotFiniteError(UndecodableError):
    """Some samples are NaN or infinite."""

    reason = "not_finite"


class FloatScaleError(UndecodableError):
    """Float samples are not scaled to -1 … 1, for example because integers were written as floats."""

    reason = "float_scale"
