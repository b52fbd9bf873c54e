"""Lossy compression, there and back, by libsndfile: MP3, Opus and µ-law."""

import io

import numpy as np
import soundfile

from mms_dist.conditions.condition import Condition, Scene
from shards.schema import SAMPLE_RATE

MP3_DELAY = 1105
"""Samples by which encoding and decoding MP3 delays audio (LAME 576, the decoder 529). LAME writes this into the file
and decoders remove it; at the lowest rates there is no room for it."""


def coded(audio_S: np.ndarray, rate: int, container: str, subtype: str, **options: float | str) -> np.ndarray:
    """Encode and decode int16 samples at `rate`; as many samples, and at the same place."""
    stream = io.BytesIO()
    soundfile.write(stream, audio_S, rate, format=container, subtype=subtype, **options)
    stream.seek(0)
    decoded_S, _ = soundfile.read(stream, dtype="int16")
    if container == "MP3" and len(decoded_S) > len(audio_S):
        decoded_S = decoded_S[MP3_DELAY:]
    out_S = np.zeros_like(audio_S)
    out_S[: len(decoded_S)] = decoded_S[: len(out_S)]
    return out_S


class Mp3(Condition):
    """Compresses the utterance as MP3 with a constant bit rate."""

    meaning = "compressed as MP3; kbit/s"
    levels = (16,)
    lowest, highest = 16, 160

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        level = (160 - self.level) / (160 - 8)  # libsndfile's scale at 16 kHz: 0 is 160 kbit/s, 1 is 8 kbit/s
        return coded(audio_S, SAMPLE_RATE, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT")


class Opus(Condition):
    """Compresses the utterance as Opus, as voice messages are."""

    meaning = "compressed as Opus; kbit/s"
    levels = (12,)
    lowest, highest = 6, 256

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        level = (256 - self.level) / (256 - 6)  # libsndfile's scale: 0 is 256 kbit/s, 1 is 6 kbit/s
        return coded(audio_S, SAMPLE_RATE, "OGG", "OPUS", compression_level=level)
