"""How a recording is laid out in its bytes: the parts to decode in order, and whether audio is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shards.audio.containers.pyav_formats import PyavFormat


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `stop` of a source, which libsndfile decodes as one file.

    `head` replaces the first bytes. `endless`: hide the length from libsndfile (`Stretch`). `frames`: samples per
    channel; None takes libsndfile's count. `skip`: encoder delay in samples, before the first of `frames`.
    `sure_frames`: samples that are intact even if the end is damaged. `pyav`: PyAV decodes it, as this format.
    """

    start: int
    stop: int
    head: bytes = b""
    endless: bool = False
    frames: int | None = None
    skip: int = 0
    sure_frames: int | None = None
    pyav: PyavFormat | None = None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Evidence that a recording was cut short. `declared_seconds` is None if the container declares no length."""

    found: str
    declared_seconds: float | None = None

    def describe(self, seconds: float) -> str:
        """Return the message for a recording that has `seconds` of audio left."""
        declared = "" if self.declared_seconds is None else f" of {self.declared_seconds:.2f} s"
        return f"ends after {seconds:.2f} s{declared} ({self.found})"


@dataclass(frozen=True, slots=True)
class Layout:
    """A recording: its parts, the audio it lacks, and whether its container declares no length."""

    parts: tuple[Part, ...]
    shortfall: Shortfall | None = None
    length_unknown: bool = False

    def joined(self, following: Layout) -> Layout:
        """Return the layout of this recording followed by another one in the same bytes."""
        return replace(
            self,
            parts=self.parts + following.parts,
            shortfall=self.shortfall or following.shortfall,
            length_unknown=self.length_unknown or following.length_unknown,
        )
