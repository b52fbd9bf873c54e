"""Cut the outputs of a long recording into segments at pauses, as they come.

Legend: T frames, V the vocabulary.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import BLANK, SPACE

LONG_PAUSE = 50
"""Frames without a letter that end a segment (1 s)."""
PAUSE = 15
"""Frames without a letter that end a segment of at least `ENOUGH` (0.3 s)."""
ENOUGH = 500
MOST = 1500
"""The longest segment: without any pause in it, it is cut between two words, or else where a blank is likeliest."""


class Segmenter:
    """Collects the outputs of one recording and gives back segments `(first frame, log-probabilities [T, V])`."""

    def __init__(self) -> None:
        self._waiting: list[NDArray[np.float32]] = []
        self._first = 0

    def add(self, log_prob_TV: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Add the next frames, and yield the segments that are complete."""
        self._waiting.append(log_prob_TV)
        waiting_TV = np.concatenate(self._waiting)
        while (stop := _cut(waiting_TV)) is not None:
            yield self._first, waiting_TV[:stop]
            self._first += stop
            waiting_TV = waiting_TV[stop:]
        self._waiting = [waiting_TV]

    def end(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield what is left."""
        if self._waiting and (rest := sum(map(len, self._waiting))):
            yield self._first, np.concatenate(self._waiting)
            self._first += rest
        self._waiting = []


def _cut(log_prob_TV: NDArray[np.float32]) -> int | None:
    """Return where a segment ends; None if it may go on."""
    frames = len(log_prob_TV)
    silent_T = log_prob_TV.argmax(axis=1) <= SPACE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent_T, [False]])))
    starts, stops = edges[::2], edges[1::2]
    inside = (starts > 0) & (stops < frames)  # a pause at an end may be longer than what is seen of it
    starts, stops = starts[inside], stops[inside]
    long = np.flatnonzero(stops - starts >= LONG_PAUSE)
    if len(long):
        return int(starts[long[0]] + stops[long[0]]) // 2
    if frames < ENOUGH:
        return None
    lengths = np.where((starts + stops) // 2 <= MOST, stops - starts, 0)
    if len(lengths) and lengths.max() >= PAUSE:
        best = int(lengths.argmax())
        return int(starts[best] + stops[best]) // 2
    if frames < MOST:
        return None
    later_TV = log_prob_TV[MOST // 2 : MOST]
    has_space = bool((later_TV.argmax(axis=1) == SPACE).any())
    return MOST // 2 + int(later_TV[:, SPACE if has_space else BLANK].argmax())
