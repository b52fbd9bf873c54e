"""Measure an utterance: its level, clipping, speech and fingerprint.

Legend: `[S]` audio samples at 16 kHz; `[T]` frames of 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shards.flags.fingerprint import fingerprint
from shards.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from shards.audio.recording import Samples

FINGERPRINT = "fingerprint"
MEASURES = ("level_db", "clipped_share", "speech_seconds", FINGERPRINT)
"""The columns of the sample table that hold the fields of `Measures`."""

FULL_SCALE = 32768.0
_FRAME = SAMPLE_RATE // 50
_LOUD_FRAMES = 10
_SPEECH_RANGE_DB = 30.0
_QUIETEST_DB = -70.0
_SHORTEST_PAUSE = 10
_EXTREME = 0.99
_SHORTEST_RUN = 3


@dataclass(frozen=True, slots=True)
class Measures:
    """What the audio of an utterance is like.

    Attributes:
        level_db: mean level of its speech, in dB of full scale (a constant signal of the largest value has 0 dB).
        clipped_share: share of samples in a row of at least three within 1 % of the largest one, on one side.
        speech_seconds: its length without the pauses of 0.2 s and more.
        fingerprint: 64 bytes by which copies are found; empty if it is too short.
    """

    level_db: float
    clipped_share: float
    speech_seconds: float
    fingerprint: bytes


def measure(audio: Samples) -> Measures:
    """Measure an utterance, int16 `[S]`. The result depends on the samples alone."""
    power_T = _frame_powers(audio)
    is_speech_T = speech_frames(power_T)
    level = 10 * np.log10(max(float(power_T[is_speech_T].mean()), 1e-12)) if is_speech_T.any() else _QUIETEST_DB
    seconds = min(int(is_speech_T.sum()) * _FRAME, len(audio)) / SAMPLE_RATE
    return Measures(round(float(level), 2), round(clipped_share(audio), 6), round(seconds, 4), fingerprint(audio))


def columns_of(measures: Sequence[Measures]) -> dict[str, list[Any]]:
    """Return the measures of many utterances by column, for JSON: fingerprints are in hexadecimal."""
    columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in measures] for name in MEASURES}
    return columns | {FINGERPRINT: [each.hex() for each in columns[FINGERPRINT]]}


def table_values(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a column as the sample table stores them."""
    return list(map(bytes.fromhex, values)) if name == FINGERPRINT else values


def measure_fields() -> list[tuple[str, Any]]:
    """Return the names and pyarrow types of the columns in the sample table."""
    import pyarrow

    return [(name, pyarrow.binary() if name == FINGERPRINT else pyarrow.float32()) for name in MEASURES]


def speech_frames(power_T: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell speech from pauses by the level of frames, bool `[T]`.

    Frames are quiet below a threshold that lies 30 dB below the loud ones, or half-way between these and the quiet
    ones if background noise makes that less. Quiet frames are a pause if they last at least 0.2 s. The loud and quiet
    levels are those that the recording exceeds, or stays below, for 0.2 s in all.
    """
    level_T = 10 * np.log10(np.maximum(power_T, 1e-12))
    edge = min(_LOUD_FRAMES, len(level_T)) - 1
    in_order_T = np.sort(level_T)
    loud, quiet = float(in_order_T[-1 - edge]), float(in_order_T[edge])
    threshold = max(loud - min(_SPEECH_RANGE_DB, max(loud - quiet, 0) / 2), _QUIETEST_DB)
    is_quiet_T = level_T < threshold
    starts, ends = _runs(is_quiet_T)
    is_speech_T = np.ones(len(level_T), bool)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start >= _SHORTEST_PAUSE:
            is_speech_T[start:end] = False
    return is_speech_T


def clipped_share(audio: Samples) -> float:
    """Return the share of samples `[S]` that were probably cut off at the largest value.

    A wave that is cut off stays at its extreme, even if it was made quieter afterwards; one that is not touches it.
    """
    extreme = max(int(audio.max()), -int(audio.min()))
    least = _EXTREME * extreme
    clipped = 0
    for is_extreme in (audio >= least, audio <= -least):
        if np.count_nonzero(is_extreme) >= _SHORTEST_RUN:
            starts, ends = _runs(is_extreme)
            lengths = ends - starts
            clipped += int(lengths[lengths >= _SHORTEST_RUN].sum())
    return clipped / len(audio)


def _frame_powers(audio: Samples) -> NDArray[np.float64]:
    """Return the mean power of each frame as a part of full scale `[T]`.

    An incomplete last frame is left out, unless it is the only one.
    """
    whole = len(audio) // _FRAME * _FRAME
    scaled = audio.astype(np.float32) / np.float32(FULL_SCALE)
    frames = scaled[:whole].reshape(-1, _FRAME)
    powers = np.einsum("ts,ts->t", frames, frames) / _FRAME
    rest = scaled[whole:]
    if len(rest) and not len(powers):
        powers = np.array([np.mean(rest**2)])
    return powers.astype(np.float64)


def _runs(is_set: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the runs of true values begin, and where they end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_set, [False]]).astype(np.int8)))
    return edges[0::2], edges[1::2]
