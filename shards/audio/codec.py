"""Decode recordings in memory to 16 kHz mono samples, and encode samples as FLAC.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile

from shards.audio.audio_errors import UndecodableError
from shards.audio.containers import flac
from shards.audio.containers.byte_source import MemorySource
from shards.audio.recording import Recording, Samples
from shards.schema import SAMPLE_RATE

__all__ = ["RecordingFacts", "Samples", "UndecodableError", "decode", "encode_flac", "facts_of", "new_samples"]

# Fixed, so that the same recordings always give the same bytes.
FLAC_COMPRESSION = 0.625


def new_samples(samples: int) -> Samples:
    """Allocate an array for `samples` audio samples."""
    return np.empty(samples, dtype=np.int16)


def decode(data: bytes | memoryview, allocate: Callable[[int], Samples] = new_samples) -> Samples:
    """Decode one recording in any format libsndfile reads to 16 kHz mono int16 `[S]`.

    Recordings that `shards build` wrote (16 kHz, mono, 16 bits) are returned bit for bit, in memory from `allocate`.

    Raises:
        UndecodableError: the recording cannot be decoded, was cut short, or its samples are not finite or not scaled
            to -1 … 1.
    """
    whole = bytes(data)
    frames = flac.plain_frames(whole)
    if frames is not None:
        try:
            stream = io.BytesIO(whole)
            with soundfile.SoundFile(stream) as recording:
                audio = recording.read(out=allocate(frames))
                # The decoder reads ahead. If bytes are left unread, the data holds more than one stream.
                if len(audio) == frames and stream.tell() == len(whole):
                    return audio
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # decoded again below, which reports what is wrong
    with Recording(MemorySource(whole)) as opened:
        audio = opened.all()
    target = allocate(len(audio))
    target[:] = audio
    return target


class RecordingFacts(NamedTuple):
    """Facts about a recording that need no decoding; `rate` in Hz."""

    rate: int
    seconds: float
    length_unknown: bool


def facts_of(data: bytes | memoryview) -> RecordingFacts:
    """Read the facts in a recording's container without decoding any audio.

    Raises:
        UndecodableError: the data is not audio that libsndfile reads.
    """
    with Recording(MemorySource(bytes(data))) as recording:
        return RecordingFacts(recording.rate, recording.seconds, recording.length_unknown)


def encode_flac(audio: Samples) -> bytes:
    """Encode samples as 16 kHz mono 16-bit FLAC; the same samples always give the same bytes."""
    target = io.BytesIO()
    soundfile.write(target, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=FLAC_COMPRESSION)
    return target.getvalue()
