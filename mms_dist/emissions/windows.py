"""Cut a recording of any length into windows, at pauses.

A window is what the model hears at once: about an utterance, as in training. Every clear pause ends one, and the middle
of the pause is not computed at all. A stretch without one ends in its longest short pause, or else at its quietest
place. Then the windows on both sides overlap: each hears some of the other, and the outputs for that are thrown away.

Legend: `[S]` audio samples at 16 kHz; F frames of the model's output, 20 ms each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shards.audio.audio_errors import CutShortError
from shards.audio.recording import Recording, Samples
from shards.schema import FRAME_SAMPLES, SAMPLE_RATE, frames_of

FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
WHOLE_SECONDS = 30.0
"""Recordings up to this length are one window: as long as the longest utterances of training, by default."""
CLEAR_PAUSE, SHORT_PAUSE = 12, 8
"""Quiet frames. The energy is averaged over five frames, so pauses of about 0.3 s and 0.25 s are as long as this."""
EDGE = 3
"""Frames of a pause that are heard on either side of it."""
SHORTEST, USUAL, LONGEST = 30, 500, 1000
"""Own frames of a window: from which on a clear pause ends it, a short one, and any quiet place."""
CONTEXT = 75
"""Most frames that are heard before and after the own ones."""
_RECEPTIVE_FIELD = 400
_BLOCK_SECONDS = 10.0
_SMOOTHED = 5
# Of energy: quiet is at most 6 dB above the floor or 30 dB below speech, and always 15 dB below speech.
_ABOVE_FLOOR, _SURELY_BELOW_SPEECH, _BELOW_SPEECH = 4.0, 1e-3, 0.03


@dataclass(frozen=True, slots=True)
class Window:
    """Audio `[S]`; of its frames, `frames` after the first `skip` are its own. Without audio, they are silence."""

    audio: Samples
    skip: int
    frames: int

    @property
    def samples(self) -> int:
        """Length: of the audio, or else of the silence."""
        return max(len(self.audio), self.frames * FRAME_SAMPLES)


def windows_of(recording: Recording) -> Iterator[Window]:
    """Yield the windows of a recording. Only one of them, and its surroundings, are in memory.

    Raises:
        UndecodableError: the recording cannot be decoded, or was cut short.
    """
    if recording.cut_short is not None:
        raise CutShortError(recording.cut_short)
    if recording.seconds <= WHOLE_SECONDS:
        audio = recording.all()
        if len(audio) >= _RECEPTIVE_FIELD:
            yield Window(audio, 0, int(frames_of(len(audio))))
        return
    blocks = _blocks(recording)
    heard = np.empty(0, np.int16)
    before = 0  # frames at the beginning of `heard` that belong to the last window
    ended = False
    while True:
        while not ended and len(heard) < (before + LONGEST + CONTEXT) * FRAME_SAMPLES + _RECEPTIVE_FIELD:
            block = next(blocks, None)
            ended = block is None
            heard = heard if block is None else np.concatenate([heard, block])
        cut = _cut(heard[before * FRAME_SAMPLES :])
        if cut is None:
            if len(heard) - before * FRAME_SAMPLES >= _RECEPTIVE_FIELD:
                yield Window(heard, before, int(frames_of(len(heard))) - before)
            return
        if cut.stop:
            end = (before + cut.stop + cut.context) * FRAME_SAMPLES + (_RECEPTIVE_FIELD - FRAME_SAMPLES)
            yield Window(heard[:end], before, cut.stop)
        if cut.silent:
            yield Window(heard[:0], 0, cut.silent)
        heard = heard[(before + cut.stop + cut.silent - cut.context) * FRAME_SAMPLES :]
        before = cut.context


@dataclass(frozen=True, slots=True)
class _Cut:
    """Own frames of a window, the silent ones after it, and those that both it and the next window hear."""

    stop: int
    silent: int = 0
    context: int = 0


def _blocks(recording: Recording) -> Iterator[Samples]:
    start = 0.0
    while start + _BLOCK_SECONDS < recording.seconds:
        yield recording.cut(start, start + _BLOCK_SECONDS)
        start += _BLOCK_SECONDS
    yield recording.cut(start, None)


def _cut(audio: Samples) -> _Cut | None:
    """Return where the window that begins here ends; None if it is the last."""
    count = min(len(audio) // FRAME_SAMPLES, LONGEST)
    if count < SHORTEST:
        return None
    frames = audio[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES).astype(np.float32)
    energy_F = np.convolve(np.square(frames).mean(axis=1), np.full(_SMOOTHED, 1 / _SMOOTHED), mode="same")
    floor, speech = np.percentile(energy_F, [10, 95])
    quiet = min(max(floor * _ABOVE_FLOOR, speech * _SURELY_BELOW_SPEECH), speech * _BELOW_SPEECH)
    starts, stops = _runs(energy_F <= quiet)
    if len(starts) and starts[0] == 0 and stops[0] > EDGE + CLEAR_PAUSE:
        return _Cut(0, int(stops[0]) - EDGE)
    clear = np.flatnonzero((stops - starts >= CLEAR_PAUSE) & (starts >= SHORTEST - EDGE))
    if len(clear):
        start, stop = int(starts[clear[0]]), int(stops[clear[0]])
        return _Cut(start + EDGE, stop - start - 2 * EDGE)
    if count < LONGEST:
        return None
    middles = (starts + stops) // 2
    lengths = np.where((middles > CONTEXT) & (middles <= USUAL), stops - starts, 0)
    if len(lengths) and lengths.max() >= SHORT_PAUSE:
        best = int(lengths.argmax())
        return _Cut(int(middles[best]), context=min(int(lengths[best]) // 2, CONTEXT))
    return _Cut(USUAL + int(energy_F[USUAL : LONGEST - CONTEXT].argmin()), context=CONTEXT)


def _runs(true_F: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where runs of true values start and stop."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true_F, [False]])))
    return edges[::2], edges[1::2]
