"""Decode recordings that libsndfile does not read with PyAV, and find out whether they were cut short.

Legend: `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.kind import without_tags
from shards.audio.containers.layout import Layout, Part, Shortfall
from shards.audio.containers.pyav_ends import lacks_end
from shards.audio.containers.pyav_formats import (
    HEAD_BYTES,
    INSTALL,
    PyavFormat,
    pyav_format,
    pyav_is_installed,
)
from shards.audio.sample_checks import check_scale

# An encoder may leave out this much at the end, in packets.
_TOLERATED_PACKETS = 2
_TOLERATED_SECONDS = 0.02


def pyav_layout_of(source: ByteSource) -> Layout | None:
    """Return the layout of a recording that needs PyAV, after reading all of its packets without decoding them.

    Returns None if libsndfile may read it.

    Raises:
        UndecodableError: PyAV is not installed, or cannot read it, or it has no sound.
        CutShortError: it ends before its sound begins.
    """
    start = without_tags(source, 0)
    found = pyav_format(source.at(start, HEAD_BYTES), source.name)
    if found is None:
        return None
    if not pyav_is_installed():
        fix = f"{INSTALL} and do it again (shards build: with --force), or convert it to FLAC or WAV"
        raise UndecodableError(f"it is {found.name}, which needs PyAV", fix)
    is_cut = lacks_end(source, start, found)
    try:
        survey = _Survey.of(source, start, found)
    except UndecodableError as error:
        if not is_cut:
            raise
        raise CutShortError(f"ends within its container, {found.name}, before the first sound") from error
    shortfall = None
    if survey.declared is not None and survey.present < survey.declared - survey.tolerance:
        shortfall = Shortfall(f"the end of its container, {found.name}, is missing", survey.declared)
    elif is_cut or survey.is_damaged_at_end:
        shortfall = Shortfall(f"within its container, {found.name}", survey.declared)
    seconds = survey.present if survey.declared is None or shortfall else survey.declared
    part = Part(start, source.size, frames=round(seconds * survey.rate), pyav=found)
    return Layout((part,), shortfall, length_unknown=survey.declared is None)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the packets say: seconds that the container declares (None: none), seconds that are present."""

    rate: int
    declared: float | None
    present: float
    tolerance: float
    is_damaged_at_end: bool

    @classmethod
    def of(cls, source: ByteSource, start: int, found: PyavFormat) -> _Survey:
        import av

        with _opened(source, start, found) as container:
            stream = _sound(container, found)
            rate = stream.codec_context.sample_rate
            alone = len(container.streams) == 1
            present = longest = 0.0
            packet_seconds = 0.0
            corrupt = False
            try:
                for packet in container.demux():
                    if not packet.size:
                        continue
                    at = packet.pts if packet.pts is not None else packet.dts
                    if at is None:
                        continue
                    end = float((at + (packet.duration or 0)) * packet.time_base)
                    longest = max(longest, end)
                    if packet.stream is stream or packet.stream.index == stream.index:
                        present = max(present, end)
                        packet_seconds = max(packet_seconds, float((packet.duration or 0) * packet.time_base))
                        corrupt = packet.is_corrupt
            except av.FFmpegError:
                corrupt = True
            declared = _declared(container, stream) if found.states_length else None
            if declared is not None and stream.duration is None and not alone:
                # The container states the length of its longest stream, which may be the picture.
                declared = present if longest >= declared - packet_seconds - _TOLERATED_SECONDS else declared
        tolerance = _TOLERATED_PACKETS * packet_seconds + _TOLERATED_SECONDS
        return cls(rate, declared, present, tolerance, corrupt)


def _declared(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


class PyavDecoder:
    """One recording, opened with PyAV. It reads forward, and begins anew for what lies before.

    Raises:
        UndecodableError: PyAV cannot read it.
    """

    def __init__(self, source: ByteSource, part: Part) -> None:
        assert part.pyav is not None and part.frames is not None
        self._source = source
        self._part = part
        self._format = part.pyav
        self.frames: int = part.frames
        self._blocks: Iterator[NDArray[np.float32]] | None = None
        self._rest: NDArray[np.float32] | None = None
        self._position = 0
        self._container: Any = None
        self._start()

    def _start(self) -> None:
        self.close()
        self._container = _opened(self._source, self._part.start, self._format)
        stream = _sound(self._container, self._format)
        self.rate: int = stream.codec_context.sample_rate
        self._blocks = _decoded(self._container, stream, self.rate)
        self._rest = None
        self._position = 0

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    def read(self, first: int, last: int | None) -> NDArray[np.float32]:
        """Decode float samples `[F, C]` of a range (None: to the end).

        Raises:
            CutShortError: fewer samples are present.
            UndecodableError: the samples cannot be decoded, are not finite, or not scaled to -1 … 1.
        """
        stop = self.frames if last is None else last
        if self._blocks is None or first < self._position:
            self._start()
        pieces: list[NDArray[np.float32]] = []
        while self._position < stop and (block := self._next()) is not None:
            begin = self._position
            self._position += len(block)
            if self._position > stop:
                self._rest = block[stop - begin :]
                block = block[: stop - begin]
                self._position = stop
            if begin + len(block) > first:
                pieces.append(block[max(first - begin, 0) :])
        found = np.concatenate(pieces) if pieces else np.empty((0, 1), np.float32)
        tolerated = round(self.rate * _TOLERATED_SECONDS) + max((len(piece) for piece in pieces), default=0)
        if len(found) < stop - first - _TOLERATED_PACKETS * tolerated:
            declared = f"{stop - first:,} samples declared, {len(found):,} present"
            shortfall = Shortfall(declared, (stop - first) / self.rate)
            raise CutShortError(shortfall.describe(len(found) / self.rate))
        check_scale(found)
        return found

    def _next(self) -> NDArray[np.float32] | None:
        if self._rest is not None:
            block, self._rest = self._rest, None
            return block
        assert self._blocks is not None
        return next(self._blocks, None)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = self._blocks = None


def _opened(source: ByteSource, start: int, found: PyavFormat) -> Any:
    import av

    try:
        # Only this format is tried: some of FFmpeg's open other files.
        return av.open(_Reader(source, start), format=found.demuxer, metadata_errors="replace")
    except av.FFmpegError as error:
        raise UndecodableError(f"it is {found.name}, and FFmpeg cannot read it: {_reason(error)}") from error


def _sound(container: Any, found: PyavFormat) -> Any:
    try:
        stream = container.streams.best("audio")
    except IndexError:  # FFmpeg has found a stream that PyAV does not know
        stream = None
    if stream is None or stream.codec_context is None or not stream.codec_context.sample_rate:
        raise UndecodableError(f"it is {found.name} without sound")
    return stream


def _decoded(container: Any, stream: Any, rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples `[F, C]` of a stream, a frame at a time."""
    import av

    resampler = None
    try:
        for frame in container.decode(stream):
            if resampler is None:
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            for converted in resampler.resample(frame):
                yield converted.to_ndarray().T
        if resampler is not None:
            for converted in resampler.resample(None):
                yield converted.to_ndarray().T
    except av.FFmpegError as error:
        raise UndecodableError(f"FFmpeg cannot decode it: {_reason(error)}") from error
    except ValueError as error:
        raise UndecodableError("its sample rate or number of channels changes within the recording") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class _Reader(io.RawIOBase):
    """The bytes of a source from `start` on, as PyAV reads them."""

    def __init__(self, source: ByteSource, start: int) -> None:
        self._source = source
        self._start = start
        self._size = source.size - start
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(min(len(buffer), self._size - self._position), 0)
        data = self._source.at(self._start + self._position, count)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
