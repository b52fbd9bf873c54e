"""Decode one part of a recording with libsndfile, and find out where it ends too early or is damaged.

Legend: `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.containers import ogg
from shards.audio.containers.byte_source import ByteSource, Stretch
from shards.audio.containers.layout import Part, Shortfall
from shards.audio.sample_checks import check_scale

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


class PartDecoder:
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
                raise UndecodableError(ogg.FLAC_IN_OGG.found, ogg.FLAC_IN_OGG.fix) from error
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
            check_scale(stored)
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


def _reason(error: Exception) -> str:
    """Return libsndfile's message, without the name of our own object."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    text = " ".join(text.split()).rstrip(".").removeprefix("Error : ").removeprefix("Error: ")
    return f"libsndfile cannot read it: {text or 'no reason given'}"
