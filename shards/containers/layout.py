"""The stretches of a recording that are decoded one after another, and how they compare with what was promised."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a source, from byte `start` to `stop`, that libsndfile decodes as a file of its own.

    `head` stands in place of its first bytes. `endless`: libsndfile must not know its length (`Stretch`). `frames`:
    samples of each channel in it, None: as many as libsndfile says; before them, `skip` belong to the encoder.
    `sure_frames`: so many are whole even if the end is not.
    """

    start: int
    stop: int
    head: bytes = b""
    endless: bool = False
    frames: int | None = None
    skip: int = 0
    sure_frames: int | None = None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What shows that a recording was cut short; `promised_seconds` None: its container tells no length."""

    found: str
    promised_seconds: float | None = None

    def describe(self, seconds: float) -> str:
        """The message, given the length that is there."""
        promised = "" if self.promised_seconds is None else f" of {self.promised_seconds:.2f} s"
        return f"ends after {seconds:.2f} s{promised} ({self.found})"


@dataclass(frozen=True, slots=True)
class Layout:
    """A recording: its parts, what it lacks, and whether its container told how long it is."""

    parts: tuple[Part, ...]
    shortfall: Shortfall | None = None
    length_unknown: bool = False

    def joined(self, following: Layout) -> Layout:
        """This recording with another behind it in the same bytes."""
        return replace(
            self,
            parts=self.parts + following.parts,
            shortfall=self.shortfall or following.shortfall,
            length_unknown=self.length_unknown or following.length_unknown,
        )
