"""Where every frame of a packed pass lies: worked out on the host, once a pass, with numpy alone.

The frames of a pass are N, always the same number, in blocks of 64. Utterances follow one another without padding in
strips, each of one language, and every strip begins with a new block: the blocks of a strip hold the same frames in
every pass. What is left of a strip's last block, and of the pass, is filler: copies of the frame before it, of the same
language. Nobody reads what becomes of them, and a value that is not finite stays in the language that it came from.

The front end and the positional convolution look at neighbours, and there alone utterances are kept apart:

* Frame k of the front end sees the samples [320 k, 320 k + 400). In one long recording in which every utterance of t
  frames is given t + 1 strides of 320 samples, its frames see its own first 320 t + 80 samples and nothing else (no
  frame of its own would see more of them). The frame at the seam sees two utterances and is dropped.
* The positional convolution has kernel 128 and sees 64 frames back and 63 ahead: 64 zero frames between two utterances
  are what an utterance by itself finds at its ends.

Legend: B utterances, M of them in a recording, U strips, N frames of the pass, R blocks of them, S attended sequences,
P rows of the positional convolution, T frames of the longest utterance.
"""

from dataclasses import dataclass

import numpy as np

from shards.schema import FRONT_END

BLOCK = 64
"""Frames of a block. Smaller: less filler at the end of strips. Larger: fewer and larger products."""

STRIDE = int(np.prod([stride for _, stride in FRONT_END]))
"""Samples from one frame to the next: 320."""
RECEPTIVE = 1 + sum(
    (kernel - 1) * int(np.prod([stride for _, stride in FRONT_END[:layer]]))
    for layer, (kernel, _) in enumerate(FRONT_END)
)
"""Samples that a frame sees: 400."""

_ROOM = 32
"""The long recording has room for one utterance in so many frames, or twice as many, or three times …: with steps that
coarse nearly all passes of a run have one length there, so that convolutions are planned once."""
_GAPPED_STEPS = 2
"""Likewise the positional convolution has a length of 1.5, 2, 2.5 … times the pass."""


@dataclass(frozen=True)
class PackedTables:
    """Index tables of one packed pass.

    Attributes:
        frames_B: frames of each utterance.
        first_B: place of each utterance's first frame.
        utterance_N, index_N: whose frame it is, and which of that utterance's frames.
        gapped_N: its row among those of the positional convolution.
        strip_R: number of the strip that each block belongs to.
        utterance_U: the first utterance of each strip, which has the strip's language.
        sequences_S1: where each attended sequence begins, and the end of the last, int32. Sequences of filler count.
        is_filler_S: True for those.
        logits_BT: place of frame t of utterance b, and past its end that of its last frame.
        gapped_rows: P.
    """

    frames_B: np.ndarray
    first_B: np.ndarray
    utterance_N: np.ndarray
    index_N: np.ndarray
    gapped_N: np.ndarray
    strip_R: np.ndarray
    utterance_U: np.ndarray
    sequences_S1: np.ndarray
    is_filler_S: np.ndarray
    logits_BT: np.ndarray
    gapped_rows: int

    @property
    def size(self) -> int:
        """N."""
        return len(self.utterance_N)

    @property
    def lengths_S(self) -> np.ndarray:
        return np.diff(self.sequences_S1)

    @property
    def blocks_U1(self) -> np.ndarray:
        """First block of each strip, and the end of the last; what comes after it is all filler."""
        end = -(-(self.first_B[-1] + self.frames_B[-1]) // BLOCK)
        return np.append(self.first_B[self.utterance_U] // BLOCK, end)

    def rows(self, first_B: np.ndarray) -> np.ndarray:
        """Row of each frame [N] where those of utterance b begin with row first_B[b]."""
        return first_B[self.utterance_N] + self.index_N


@dataclass(frozen=True)
class Recording:
    """Where utterances lie in one long recording.

    Attributes:
        first_M: number of each utterance's first frame among those of the recording.
        frames: of the recording.
    """

    first_M: np.ndarray
    frames: int

    @property
    def samples(self) -> int:
        """No more than its frames see."""
        return self.frames * STRIDE + RECEPTIVE - STRIDE


def recording_of(frames_M: np.ndarray, places: int, *, is_whole: bool = True) -> Recording:
    """One recording of utterances of so many frames each.

    Args:
        places: N, of the pass that they belong to.
        is_whole: they are all of its utterances. The recording of some is shorter, by eighths.
    """
    eighth, room = max(places // 8, 1), max(places // _ROOM, 1)
    most = places if is_whole else min(-(-int(frames_M.sum()) // eighth) * eighth, places)
    return Recording(end_to_end(frames_M + 1), most + room * -(-len(frames_M) // room))


def pass_frames(samples: int) -> int:
    """Frames of a pass of at most so much audio: whole blocks."""
    return max(samples // STRIDE // BLOCK, 1) * BLOCK


def end_to_end(lengths_B: np.ndarray) -> np.ndarray:
    """Where each begins if they follow one another."""
    return np.cumsum(lengths_B) - lengths_B


def samples_seen(frames_B: np.ndarray) -> np.ndarray:
    """Samples of each utterance that any of its frames sees."""
    return (frames_B - 1) * STRIDE + RECEPTIVE


def packed_tables(frames: np.ndarray, strips: np.ndarray, *, size: int, gap: int) -> PackedTables:
    """Lay out utterances of `frames` frames each, in the order given.

    Args:
        strips: number of each utterance's strip: 0, 1, 2 … in this order, each of one language.
        size: N, a multiple of 64. Utterances that need more make the pass larger, by eighths: one that is longer.
        gap: zero frames that keep utterances apart in the positional convolution: half of its kernel.
    """
    frames_B = np.asarray(frames, dtype=np.int64)
    strip_B = np.asarray(strips, dtype=np.int64)
    assert (frames_B > 0).all() and size % BLOCK == 0, "an utterance without a frame, or a pass of half a block"
    assert strip_B[0] == 0 and np.isin(np.diff(strip_B), (0, 1)).all(), "strips are numbered as they come"
    first_B, end = _first_frames(frames_B, strip_B)
    step = BLOCK * max(size // BLOCK // 8, 1)
    places = size + step * max(-(-(int(end) - size) // step), 0)
    last_B = first_B + frames_B - 1
    utterance_N = np.searchsorted(first_B, np.arange(places), side="right") - 1
    # A frame of filler is the one before it again.
    index_N = np.minimum(np.arange(places), last_B[utterance_N]) - first_B[utterance_N]
    gapped_B = end_to_end(frames_B + gap)
    sequences_S1, is_filler_S = _sequences(first_B, frames_B, places)
    time_T = np.arange(frames_B.max())
    gapped = max(places // _GAPPED_STEPS, 1)
    return PackedTables(
        frames_B=frames_B,
        first_B=first_B,
        utterance_N=utterance_N,
        index_N=index_N,
        gapped_N=gapped_B[utterance_N] + index_N,
        strip_R=strip_B[utterance_N[::BLOCK]],
        utterance_U=np.searchsorted(strip_B, np.arange(strip_B[-1] + 1)),
        sequences_S1=sequences_S1,
        is_filler_S=is_filler_S,
        logits_BT=first_B[:, None] + np.minimum(time_T, frames_B[:, None] - 1),
        gapped_rows=gapped * max(-(-int(gapped_B[-1] + frames_B[-1]) // gapped), _GAPPED_STEPS + 1),
    )


def _first_frames(frames_B: np.ndarray, strip_B: np.ndarray) -> tuple[np.ndarray, int]:
    """Place of each utterance's first frame, and the end of the last block: a strip begins with a block."""
    first_B, at = np.zeros(len(frames_B), dtype=np.int64), 0
    for number, frames in enumerate(frames_B):
        if number and strip_B[number] != strip_B[number - 1]:
            at = -(-at // BLOCK) * BLOCK
        first_B[number] = at
        at += int(frames)
    return first_B, -(-at // BLOCK) * BLOCK


def _sequences(first_B: np.ndarray, frames_B: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Every utterance is a sequence; filler is cut into short ones, so that it costs little and is nobody's longest."""
    starts: list[int] = []
    filler: list[bool] = []
    for first, end, following in zip(first_B, first_B + frames_B, [*first_B[1:], places], strict=True):
        pieces = range(int(end), int(following), BLOCK)
        starts += [int(first), *pieces]
        filler += [False, *[True] * len(pieces)]
    return np.array([*starts, places], dtype=np.int32), np.array(filler, dtype=bool)
