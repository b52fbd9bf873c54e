"""Check whether an utterance can be used for training, by its audio and length.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass

from shards.audio.recording import Samples
from shards.drops import Rejected
from shards.schema import SAMPLE_RATE, frames_of, required_frames

MIN_RATE_HZ = 8_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The shortest and longest utterance to keep."""

    min_seconds: float = 0.3
    max_seconds: float = 30.0


def check_rate(rate: int) -> None:
    """Check that a recording's sample rate is high enough for speech.

    Raises:
        Rejected: `sample_rate`.
    """
    if rate < MIN_RATE_HZ:
        raise Rejected("sample_rate", f"{rate} Hz, expected at least {MIN_RATE_HZ} Hz")


def check_recording(rate: int, seconds: float, limits: Limits) -> None:
    """Check a recording's sample rate and length before it is decoded.

    Raises:
        Rejected: `sample_rate` or `too_long`.
    """
    check_rate(rate)
    if seconds > limits.max_seconds:
        raise Rejected("too_long", f"{seconds:.2f} s, limit {limits.max_seconds} s")


def check_utterance(audio: Samples, text: str, limits: Limits) -> None:
    """Check that an utterance (audio `[S]`, training text) can be used for training.

    Raises:
        Rejected: `too_short`, `too_long`, `silent` or `more_labels_than_frames`.
    """
    seconds = len(audio) / SAMPLE_RATE
    if seconds < limits.min_seconds:
        raise Rejected("too_short", f"{seconds:.2f} s, limit {limits.min_seconds} s")
    if seconds > limits.max_seconds:
        raise Rejected("too_long", f"{seconds:.2f} s, limit {limits.max_seconds} s")
    if audio.min() == audio.max():
        raise Rejected("silent", f"{len(audio)} equal samples")
    check_labels(len(audio), text)


def check_labels(samples: int, text: str) -> None:
    """Check that the model has enough frames for a training text, given the number of audio samples.

    Raises:
        Rejected: `more_labels_than_frames`.
    """
    frames, needed = frames_of(samples), required_frames(text)
    if frames < needed:
        raise Rejected("more_labels_than_frames", f"{text!r} needs {needed} frames, but the audio has {frames}")
