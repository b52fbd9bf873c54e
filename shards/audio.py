"""Encoded recordings in memory to 16 kHz mono samples, and samples to FLAC.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import soundfile

from shards.audio_errors import TooLongError
from shards.containers import flac
from shards.containers.source import MemorySource
from shards.pcm import Samples
from shards.recording import Recording
from shards.schema import SAMPLE_RATE

# Fixed, so that the same recordings give the same bytes.
FLAC_COMPRESSION = 0.625


def new_samples(samples: int) -> Samples:
    """An array for so many samples."""
    return np.empty(samples, dtype=np.int16)


def decode(
    data: bytes | memoryview, allocate: Callable[[int], Samples] = new_samples, *, max_seconds: float = math.inf
) -> Samples:
    """The samples of one encoded recording: any format libsndfile reads, as 16 kHz mono int16 `[S]`.

    What `shards build` wrote (16 kHz, mono, 16 bits) comes back bit for bit, in the memory that `allocate` gives.

    Raises:
        UndecodableError: if it can not be decoded, was cut short, or holds no sound that can be trained on; what is
            longer than `max_seconds` is not decoded.
    """
    whole = bytes(data)
    frames = flac.plain_frames(whole)
    if frames is not None and frames <= max_seconds * SAMPLE_RATE:
        try:
            stream = io.BytesIO(whole)
            with soundfile.SoundFile(stream) as recording:
                audio = recording.read(out=allocate(frames))
                # The decoder asks for bytes ahead of what it decodes; what it never asked for is more than one stream.
                if len(audio) == frames and stream.tell() == len(whole):
                    return audio
        except (soundfile.LibsndfileError, RuntimeError):
            pass  # read once more below, which tells what is wrong
    with Recording(MemorySource(whole)) as opened:
        if opened.seconds > max_seconds:
            raise TooLongError(f"{opened.seconds:.2f} s, limit {max_seconds} s")
        audio = opened.all()
    target = allocate(len(audio))
    target[:] = audio
    return target


def rate_and_unknown_length(data: bytes | memoryview) -> tuple[int, bool]:
    """Samples a second of one encoded recording, and whether it tells no length; nothing is decoded.

    Raises:
        UndecodableError: if it is not audio that libsndfile reads.
    """
    with Recording(MemorySource(bytes(data))) as recording:
        return recording.rate, recording.length_unknown


def encode_flac(audio: Samples) -> bytes:
    """16 kHz mono 16-bit FLAC; the same samples always give the same bytes."""
    target = io.BytesIO()
    soundfile.write(target, audio, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=FLAC_COMPRESSION)
    return target.getvalue()
