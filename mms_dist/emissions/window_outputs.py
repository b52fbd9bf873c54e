"""The outputs of a recording of any length: those of its windows, one after the other.

Legend: T frames, V the vocabulary of one language.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.emissions.windows import Window, windows_of
from shards.audio.recording import Recording
from shards.vocabulary import BLANK, SPACE


def outputs_of(model: AcousticModel, windows: Sequence[tuple[str, Window]]) -> list[NDArray[np.float32]]:
    """Return the log-probabilities `[T, V]` of the own frames of windows, each with its language, in full passes."""
    heard = [(language, window.audio) for language, window in windows if len(window.audio)]
    computed = iter(model.log_probs([language for language, _ in heard], [audio for _, audio in heard]))
    return [
        next(computed)[window.skip : window.skip + window.frames]
        if len(window.audio)
        else silence(window.frames, len(model.vocabularies[language]))
        for language, window in windows
    ]


def outputs_of_recording(
    model: AcousticModel,
    language: str,
    recording: Recording,
    *,
    on_window: Callable[[Window], object] = lambda window: None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the log-probabilities `[T, V]` of a recording, piece by piece. A few minutes are in memory at once.

    Args:
        on_window: called with each window, in order.

    Raises:
        UndecodableError: the recording cannot be decoded, or was cut short.
    """
    chunk: list[tuple[str, Window]] = []
    samples = 0
    for window in windows_of(recording):
        on_window(window)
        chunk.append((language, window))
        samples += window.samples
        if samples >= model.chunk_samples:
            yield from outputs_of(model, chunk)
            chunk, samples = [], 0
    yield from outputs_of(model, chunk)


def silence(frames: int, vocabulary: int) -> NDArray[np.float32]:
    """Return the outputs for frames in which nothing is said: blanks, and a space, because a pause ends a word.

    Models often write no space there, since the utterances that they were trained on ended in a pause, not in a space.
    """
    log_prob_TV = np.full((frames, vocabulary), -np.inf, np.float32)
    log_prob_TV[:, BLANK] = 0.0
    log_prob_TV[frames // 2, [BLANK, SPACE]] = -np.inf, 0.0
    return log_prob_TV
