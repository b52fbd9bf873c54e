"""Decode a recording in any container, completely or in segments.

Legend: `[S]` audio samples at 16 kHz; `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.audio_errors import CutShortError, FloatScaleError, NotFiniteError, UndecodableError
from shards.containers import ogg
from shards.containers.kind import layout_of
from shards.containers.layout import Part, Shortfall
from shards.containers.source import ByteSource, FileSource, Stretch
from shards.pcm import Samples, mixed, resampled, to_int16

# Float samples up to this peak were mixed too loud and are clipped. Above it, they have another scale.
_LOUDEST = 4.0
_FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")
# libsndfile reports that it can seek backwards in these, but it cannot.
_FORWARD_SUBTYPES = ("DWVW_12", "DWVW_16", "DWVW_24")
_MPEG_FRAME_SAMPLES = 1152
# A frame may use data from the 511 bytes before it, and the shortest frames have 24 bytes.
_MPEG_LEAD_SAMPLES = 32 * _MPEG_FRAME_SAMPLES
# Samples of all channels to read at once where the length is not reliable.
_BLOCK_SAMPLES = 1 << 22
# No encoder stores more samples per byte. A header that declares more is damaged, and no memory is allocated for it.
_MAX_SAMPLES_PER_BYTE = 8192


class Recording:
    """An open recording. Segments cut in order do not decode it again from the start.

    Args:
        place: the path or the bytes of the recording.

    Raises:
        UndecodableError: on opening, if it is not audio that libsndfile reads.
    """

    def __init__(self, place: Path | ByteSource) -> None:
        try:
            self._source = FileSource(place) if isinstance(place, Path) else place
        except OSError as error:
            raise UndecodableError(f"cannot be read: {error.strerror}") from error
        try:
            layout = layout_of(self._source)
            self._shortfall = layout.shortfall
            self.length_unknown = layout.length_unknown
            self._parts = self._open(layout.parts)
            self._reading = self._parts[0]
        except OSError as error:
            self._source.close()
            raise UndecodableError(f"cannot be read: {error.strerror}") from error
        except UndecodableError:
            self._source.close()
            raise

    def _open(self, parts: Sequence[Part]) -> list[_OpenPart]:
        opened: list[_OpenPart] = []
        for part in parts:
            try:
                opened.append(_OpenPart(self._source, part))
                if len(parts) > 1:
                    opened[-1].close()
            except UndecodableError as error:
                if self._shortfall is None:
                    raise
                raise CutShortError(self._shortfall.describe(sum(part.seconds for part in opened))) from error
        return opened

    @property
    def rate(self) -> int:
        """Sample rate in Hz; the lowest, if parts have different rates."""
        return min(part.rate for part in self._parts)

    @property
    def seconds(self) -> float:
        """Length of the audio that is present."""
        return sum(part.seconds for part in self._parts)

    @property
    def declared_seconds(self) -> float:
        """Length that the container declares; infinite if it was cut short and declares none."""
        if self._shortfall is None:
            return self.seconds
        return math.inf if self._shortfall.declared_seconds is None else self._shortfall.declared_seconds

    @property
    def cut_short(self) -> str | None:
        """If the recording was cut short, how much of it is present; else None."""
        return None if self._shortfall is None else self._shortfall.describe(self.seconds)

    def all(self) -> Samples:
        """Decode the whole recording.

        Raises:
            CutShortError: the recording ends before the length its container declares.
            UndecodableError: as `cut`.
        """
        if self.cut_short is not None:
            raise CutShortError(self.cut_short)
        return _joined([self._read(part, 0, None) for part in self._parts], [part.rate for part in self._parts])

    def cut(self, start_seconds: float, end_seconds: float | None) -> Samples:
        """Decode 16 kHz mono int16 `[S]` between two times (None: to the end).

        Raises:
            UndecodableError: the recording cannot be decoded there, ends before its declared length, or holds samples
                that are not finite or not scaled to -1 … 1.
        """
        if start_seconds == 0 and end_seconds is None:
            return self.all()
        pieces, rates, before = [], [], 0.0
        for part in self._parts:
            first = max(round((start_seconds - before) * part.rate), 0)
            last = part.frames
            if end_seconds is not None:
                last = min(round((end_seconds - before) * part.rate), last)
            if first < last:
                pieces.append(self._read(part, first, last))
                rates.append(part.rate)
            before += part.seconds
        return _joined(pieces, rates)

    def _read(self, part: _OpenPart, first: int, last: int | None) -> NDArray[np.float32]:
        # Keep only one decoder open, since a chain may have thousands of parts.
        if part is not self._reading:
            self._reading.close()
            self._reading = part
        return part.read(first, last)

    def close(self) -> None:
        self._reading.close()
        self._source.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _joined(pieces: Sequence[NDArray[np.float32]], rates: Sequence[int]) -> Samples:
    """Join pieces `[F, C]` to 16 kHz mono. Consecutive pieces of the same rate are resampled together."""
    found = []
    for rate, group in itertools.groupby(zip(rates, pieces, strict=True), key=lambda entry: entry[0]):
        mono = [mixed(piece) for _, piece in group]
        found.append(resampled(mono[0] if len(mono) == 1 else np.concatenate(mono), rate))
    if len(found) == 1:
        return to_int16(found[0])
    return to_int16(np.concatenate([np.empty(0, dtype=np.float32), *found]))


class _SteadyFile(soundfile.SoundFile):
    """A sound file that seeks only when asked to.

    soundfile seeks to the current position after every read, and some decoders lose their state by that.
    """

    def seekable(self) -> bool:
        return False

    @property
    def can_go_back(self) -> bool:
        """Whether `seek` works."""
        return super().seekable() and self.subtype not in _FORWARD_SUBTYPES


class _OpenPart:
    """One part of a recording, opened with libsndfile."""

    def __init__(self, source: ByteSource, part: Part) -> None:
        self._source = source
        self._part = part
        self._file = self._opened()
        self.rate: int = self._file.samplerate
        frames = self._file.frames if part.frames is None else part.frames
        if not 0 <= frames <= (part.stop - part.start) * _MAX_SAMPLES_PER_BYTE:
            self._file.close()
            raise UndecodableError(f"its header declares {frames:,} samples in {part.stop - part.start:,} bytes")
        self.frames: int = frames
        # As libsndfile counts it, including the encoder delay.
        self._position = 0

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def _stretch(self) -> Stretch:
        part = self._part
        return Stretch(self._source, part.start, part.stop, head=part.head, endless=part.endless)

    def _opened(self) -> _SteadyFile:
        try:
            opened = _SteadyFile(self._stretch())
        except (soundfile.LibsndfileError, RuntimeError) as error:
            if self._source.at(self._part.start + 28, len(ogg.FLAC_MAGIC)) == ogg.FLAC_MAGIC:
                raise UndecodableError(f"it is {ogg.FLAC_IN_OGG}") from error
            raise UndecodableError(_reason(error)) from error
        if opened.samplerate <= 0 or opened.channels <= 0:
            raise UndecodableError(f"its header declares {opened.samplerate} Hz and {opened.channels} channels")
        return opened

    def read(self, first: int, last: int | None) -> NDArray[np.float32]:
        """Decode float samples `[F, C]` of a range (None: to the end).

        Raises:
            CutShortError: fewer samples are present.
            UndecodableError: the samples cannot be decoded, are not finite, or not scaled to -1 … 1.
        """
        wanted = (self.frames if last is None else last) - first
        if self._file.closed:
            self._file = self._opened()
            self._position = 0
        try:
            self._go_to(first + self._part.skip)
            stored = self._read(wanted)
            if last is None and self._part.frames is None and len(stored) == wanted:
                rest = self._read(_BLOCK_SAMPLES // self._file.channels)
                stored = np.concatenate([stored, rest]) if len(rest) else stored
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise self._failure(error, first, wanted) from error
        # An MPEG decoder skips damaged frames anywhere, so a few missing samples do not mean that the end is missing.
        tolerated = 2 * _MPEG_FRAME_SAMPLES if self._part.endless else 0
        if len(stored) < wanted - tolerated:
            shortfall = Shortfall(f"{wanted:,} samples declared, {len(stored):,} present", wanted / self.rate)
            raise CutShortError(shortfall.describe(len(stored) / self.rate))
        if self._file.subtype in _FLOAT_SUBTYPES:
            _check_scale(stored)
        return stored

    def _go_to(self, place: int) -> None:
        if place == self._position:
            return
        # After a seek, an MPEG decoder needs some frames before the position to decode it correctly.
        nearby = max(place - _MPEG_LEAD_SAMPLES, 0) if self._part.endless else place
        if self._file.can_go_back and not nearby <= self._position < place:
            self._file.seek(nearby)
            self._position = nearby
        if place < self._position:
            self._file.close()
            self._file = self._opened()
            self._position = 0
        while self._position < place and len(self._read(min(place - self._position, _BLOCK_SAMPLES))):
            pass

    def _read(self, frames: int) -> NDArray[np.float32]:
        """Read the next samples `[F, C]`; fewer at the end."""
        blocks = []
        limit = max(_BLOCK_SAMPLES // self._file.channels, 1)
        while True:
            block = self._file.read(min(frames, limit), dtype="float32", always_2d=True)
            blocks.append(block)
            frames -= len(block)
            self._position += len(block)
            if not len(block) or frames <= 0:
                return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _failure(self, error: Exception, first: int, wanted: int) -> UndecodableError:
        """Return the error for a decoder failure: cut short if only the last frame is incomplete, else damaged."""
        sure = self._part.sure_frames
        if sure is None or first + wanted <= sure or not self._decodes_up_to(sure):
            return UndecodableError(_reason(error))
        return CutShortError(Shortfall("within a FLAC frame", self.frames / self.rate).describe(sure / self.rate))

    def _decodes_up_to(self, frames: int) -> bool:
        try:
            with _SteadyFile(self._stretch()) as again:
                while frames > 0 and (read := len(again.read(min(frames, _BLOCK_SAMPLES // again.channels)))):
                    frames -= read
        except (soundfile.LibsndfileError, RuntimeError):
            return False
        return frames == 0

    def close(self) -> None:
        self._file.close()


def _check_scale(stored: NDArray[np.float32]) -> None:
    if not stored.size:
        return
    low, high = float(stored.min()), float(stored.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = int(np.count_nonzero(~np.isfinite(stored)))
        raise NotFiniteError(f"{wrong:,} of its {stored.size:,} float samples are NaN or infinite")
    peak = max(-low, high)
    if peak > _LOUDEST:
        reached = f"{peak:,.0f}" if peak >= 100 else f"{peak:.1f}"
        raise FloatScaleError(
            f"its float samples reach {reached}, expected -1 … 1; scale them (by 1/32768, if they were converted from "
            "16-bit integers)"
        )


def _reason(error: Exception) -> str:
    """Return libsndfile's message, without the name of our own object."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    text = " ".join(text.split()).rstrip(".").removeprefix("Error : ").removeprefix("Error: ")
    return f"libsndfile cannot read it: {text or 'no reason given'}"
