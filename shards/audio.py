"""Recordings to 16 kHz mono samples and FLAC, and back.

Legend: `[S]` audio samples at 16 kHz; `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.schema import SAMPLE_RATE

Samples = NDArray[np.int16]

# Fixed, so that the same recordings give the same bytes.
FLAC_COMPRESSION = 0.625


class UndecodableError(Exception):
    """These bytes are not audio that libsndfile reads; the message says why."""


def to_16_khz_mono(audio_FC: NDArray[np.float32], rate: int) -> Samples:
    """Mix the channels down, resample with soxr at its "HQ" quality, and round to int16 `[S]`."""
    mono = audio_FC.mean(axis=1, dtype=np.float32) if audio_FC.ndim == 2 else audio_FC
    if rate != SAMPLE_RATE:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)


def new_samples(samples: int) -> Samples:
    """An array for so many samples."""
    return np.empty(samples, dtype=np.int16)


def decode(data: bytes | memoryview, allocate: Callable[[int], Samples] = new_samples) -> Samples:
    """The samples of one encoded recording: any format libsndfile reads, as 16 kHz mono int16 `[S]`.

    What `shards build` wrote (16 kHz, mono, 16 bits) comes back bit for bit, in the memory that `allocate` gives.

    Raises:
        UndecodableError: if it can not be decoded, or ends before its header says.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as recording:
            rate, promised = recording.samplerate, recording.frames
            if rate == SAMPLE_RATE and recording.channels == 1:
                audio = recording.read(out=allocate(promised))
                found = len(audio)
            else:
                stored = recording.read(dtype="float32", always_2d=True)
                found = len(stored)
                audio = to_16_khz_mono(stored, rate)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UndecodableError(str(error)) from error
    if found < promised:
        raise UndecodableError(f"holds {found} samples of the {promised} its header promises")
    return audio


def rate_of(data: bytes | memoryview) -> int:
    """Samples a second of one encoded recording, as its header says; nothing is decoded.

    Raises:
        UndecodableError: if it is not audio that libsndfile reads.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as recording:
            return int(recording.samplerate)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UndecodableError(str(error)) from error


def encode_flac(audio: Samples) -> bytes:
    """16 kHz mono 16-bit FLAC; the same samples always give the same bytes."""
    target = io.BytesIO()
    soundfile.write(target, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=FLAC_COMPRESSION)
    return target.getvalue()


class Recording:
    """An open recording from which segments are cut without decoding it again for each.

    Raises:
        UndecodableError: at opening, if it is not audio that libsndfile reads.
    """

    def __init__(self, path: Path) -> None:
        try:
            # As bytes: not every file's name is UTF-8.
            self._file = soundfile.SoundFile(os.fsencode(path))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise UndecodableError(str(error)) from error
        self.rate: int = self._file.samplerate

    @property
    def seconds(self) -> float:
        """Length that the header promises."""
        return self._file.frames / self.rate

    def cut(self, start_seconds: float, end_seconds: float | None) -> Samples:
        """16 kHz mono int16 `[S]` between two times (None: to the end).

        Raises:
            UndecodableError: if the recording can not be decoded there, or ends before its header says.
        """
        first = round(start_seconds * self.rate)
        last = self._file.frames if end_seconds is None else min(round(end_seconds * self.rate), self._file.frames)
        try:
            if self._file.tell() != first:
                self._file.seek(first)
            stored = self._file.read(last - first, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise UndecodableError(str(error)) from error
        if len(stored) < last - first:
            raise UndecodableError(f"ends {last - first - len(stored)} samples before its header promises")
        if not np.isfinite(stored).all():
            raise UndecodableError("holds samples that are not finite")
        return to_16_khz_mono(stored, self.rate)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
