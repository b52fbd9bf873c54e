"""The errors for recordings that cannot be used."""

from __future__ import annotations

from shards.drops import Rejected
from shards.errors import Problem


class UndecodableError(Rejected):
    """The data is not audio that libsndfile reads."""

    reason = "undecodable"

    def __init__(self, found: str, fix: str | None = None) -> None:
        super().__init__(type(self).reason, found, fix)
        self.args = (found, fix)

    @property
    def problem(self) -> Problem:
        """The problem, and its fix."""
        return Problem(self.found, self.fix)


class CutShortError(UndecodableError):
    """A recording ends before the length its container declares, or without its end mark."""

    reason = "cut_short"


class NotFiniteError(UndecodableError):
    """Some samples are NaN or infinite."""

    reason = "not_finite"


class FloatScaleError(UndecodableError):
    """Float samples are not scaled to -1 … 1, for example because integers were written as floats."""

    reason = "float_scale"
