"""The most probable path through the states of a text, in memory that does not grow with the length of the recording.

Viterbi's search. The scores before some frames are kept (in a temporary file, once they are many), and the steps
between them are computed a second time on the way back. Of a long text, only a band of states is searched at a time,
which begins where a path is not yet hopeless.

Legend: T frames, V labels of the vocabulary, S states, W states in the band, F frames of a block.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.lattice import JUMP, Lattice, beginnings

HOPELESS = 250.0
"""States that are this much worse than the best one (nats) are given up, if they are the first of the band."""
STRIDE = 16
"""The band moves at frames that are multiples of this."""
KEPT_BYTES = 16 << 20
"""Scores that are kept in memory; from this on they are in a temporary file."""

Emissions = Callable[[int, int], NDArray[np.floating]]
"""Returns the log-probabilities `[F, V]` of the frames from one number up to another."""


@dataclass(frozen=True, slots=True)
class RoughTimes:
    """Where a text may be: the first frame in which a path may be in each state, and the last one; both only grow.

    They are looked at when the band moves, every `STRIDE` frames.
    """

    first_S: NDArray[np.int64]
    last_S: NDArray[np.int64]


def best_path(
    lattice: Lattice,
    emissions: Emissions,
    frames: int,
    take: Callable[[int, NDArray[np.int64]], object],
    *,
    block: int,
    width: int | None = None,
    times: RoughTimes | None = None,
    kept_bytes: int = KEPT_BYTES,
) -> float:
    """Find the best path, and return its log-probability: minus infinity if there is none.

    Args:
        take: called with the first frame of each block and the states `[F]` of the path in it, the last block first.
        block: frames whose steps are in memory at once.
        width: states in the band; None: all.
        times: where the text may be; None: anywhere.
        kept_bytes: scores from which on they are kept in a temporary file.
    """
    width = len(lattice) if width is None else min(width, len(lattice))
    search = _Search(lattice, width, times)
    starts = range(0, frames, block)
    with SpooledTemporaryFile(max_size=kept_bytes) as kept:
        band = _Band(lattice.start(width), 0)
        for first in starts:
            kept.write(np.concatenate([[band.low], band.best_W]).tobytes())
            for frame in _frames(emissions, first, min(first + block, frames)):
                band, _ = search.advance(band, frame, steps=False)
        place, score = lattice.end(band.best_W, band.low)
        if score == -np.inf:
            return score
        record_bytes = (width + 1) * 8
        for first in reversed(starts):
            kept.seek(first // block * record_bytes)
            record = np.frombuffer(kept.read(record_bytes))
            heard = _frames(emissions, first, min(first + block, frames))
            path_F, place = search.back(_Band(record[1:], int(record[0])), heard, place)
            take(first, path_F)
    return score


@dataclass(frozen=True, slots=True)
class _Band:
    """The scores of the states from `low` on."""

    best_W: NDArray[np.float64]
    low: int


class _Frame(NamedTuple):
    number: int
    row_V: NDArray[np.float64]
    begins: bool


class _Search:
    def __init__(self, lattice: Lattice, width: int, times: RoughTimes | None) -> None:
        self._lattice = lattice
        self._width = width
        self._times = times

    def advance(self, band: _Band, frame: _Frame, *, steps: bool) -> tuple[_Band, NDArray[np.int8] | None]:
        """Add a frame. The band moves before it."""
        if frame.number % STRIDE == 0:
            band = self._moved(band, frame.number)
        best_W, step_W = self._lattice.advance(band.best_W, frame.row_V, band.low, begins=frame.begins, steps=steps)
        return _Band(best_W, band.low), step_W

    def back(self, band: _Band, frames: Iterator[_Frame], place: int) -> tuple[NDArray[np.int64], int]:
        """Compute the steps of a block again; return the path in it, and the state before it."""
        steps: list[tuple[_Band, NDArray[np.int8]]] = []
        for frame in frames:
            band, step_W = self.advance(band, frame, steps=True)
            assert step_W is not None
            # The scores are needed where a path may have jumped.
            steps.append((band if self._lattice.costs else _Band(band.best_W[:0], band.low), step_W))
        path_F = np.empty(len(steps), np.int64)
        for number in range(len(steps) - 1, -1, -1):
            band, step_W = steps[number]
            step = step_W[place - band.low]
            if step == JUMP:
                place = self._lattice.origin(band.best_W, place, band.low)
                step = step_W[place - band.low]
            path_F[number] = place
            place -= int(step)
        return path_F, place

    def _moved(self, band: _Band, frame: int) -> _Band:
        """Give up states at the beginning of the band, and take in as many after its end."""
        best_W, low = band.best_W, band.low
        if self._times is not None:
            best_W = best_W.copy()
            best_W[: max(int(np.searchsorted(self._times.last_S, frame)) - low, 0)] = -np.inf
            best_W[max(int(np.searchsorted(self._times.first_S, frame, "right")) - low, 0) :] = -np.inf
        room = len(self._lattice) - self._width - low
        if room == 0:
            return _Band(best_W, low)
        hopeful = int((best_W >= best_W.max() - HOPELESS).argmax())
        moved = min(hopeful, room)
        taken_in = np.full(moved, -np.inf)
        return _Band(np.concatenate([best_W[moved:], taken_in]), low + moved)


def _frames(emissions: Emissions, first: int, stop: int) -> Iterator[_Frame]:
    row_FV = emissions(first, stop).astype(np.float64)
    begins_F = beginnings(row_FV, emissions(first - 1, first)[0] if first else None)
    for number, (row_V, begins) in enumerate(zip(row_FV, begins_F.tolist(), strict=True), start=first):
        yield _Frame(number, row_V, begins)
