"""Decode a recording in any container, completely or in segments.

Legend: `[S]` audio samples at 16 kHz; `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.containers.byte_source import ByteSource, FileSource
from shards.audio.containers.kind import layout_of
from shards.audio.containers.layout import Part
from shards.audio.part_decoder import PartDecoder
from shards.audio.pyav_decoder import PyavDecoder, pyav_layout_of
from shards.drops import Rejected
from shards.schema import SAMPLE_RATE
from shards.wording import counted

Samples = NDArray[np.int16]


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
            layout = pyav_layout_of(self._source) or layout_of(self._source)
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

    def _open(self, parts: Sequence[Part]) -> list[PartDecoder | PyavDecoder]:
        opened: list[PartDecoder | PyavDecoder] = []
        for part in parts:
            try:
                opened.append(PartDecoder(self._source, part) if part.pyav is None else PyavDecoder(self._source, part))
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

    def all(self, channel: int | None = None) -> Samples:
        """Decode the whole recording: all channels mixed, or one of them, from 1.

        Raises:
            CutShortError: the recording ends before the length its container declares.
            UndecodableError: as `cut`.
        """
        if self.cut_short is not None:
            raise CutShortError(self.cut_short)
        pieces = [self._read(part, 0, None) for part in self._parts]
        return _joined(pieces, [part.rate for part in self._parts], channel)

    def cut(self, start_seconds: float, end_seconds: float | None, channel: int | None = None) -> Samples:
        """Decode 16 kHz mono int16 `[S]` between two times (None: to the end): all channels mixed, or one, from 1.

        Raises:
            Rejected: `no_channel`, if it has no such channel.
            UndecodableError: the recording cannot be decoded there, ends before its declared length, or holds samples
                that are not finite or not scaled to -1 … 1.
        """
        if start_seconds == 0 and end_seconds is None:
            return self.all(channel)
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
        return _joined(pieces, rates, channel)

    def _read(self, part: PartDecoder | PyavDecoder, first: int, last: int | None) -> NDArray[np.float32]:
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


def _joined(pieces: Sequence[NDArray[np.float32]], rates: Sequence[int], channel: int | None) -> Samples:
    """Join pieces `[F, C]` to 16 kHz mono. Consecutive pieces of the same rate are resampled together."""
    found = []
    for rate, group in itertools.groupby(zip(rates, pieces, strict=True), key=lambda entry: entry[0]):
        mono = [mixed(piece) if channel is None else _only(piece, channel) for _, piece in group]
        found.append(resampled(mono[0] if len(mono) == 1 else np.concatenate(mono), rate))
    if len(found) == 1:
        return to_int16(found[0])
    return to_int16(np.concatenate([np.empty(0, dtype=np.float32), *found]))


def _only(audio_FC: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
    """Return one channel `[F]`, numbered from 1."""
    channels = audio_FC.shape[1]
    if channel > channels:
        raise Rejected("no_channel", f"it has {counted(channels, 'channel')}, expected channel {channel}")
    return np.ascontiguousarray(audio_FC[:, channel - 1])


def mixed(audio_FC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average all channels to one `[F]`."""
    return audio_FC.mean(axis=1, dtype=np.float32) if audio_FC.ndim == 2 else audio_FC


def resampled(mono: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample `[F]` at `rate` to `[S]`."""
    if rate == SAMPLE_RATE:
        return mono
    import soxr

    return soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


def to_int16(mono: NDArray[np.float32]) -> Samples:
    """Convert -1 … 1 to integers, clipping louder samples."""
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
