"""Compute the position of every frame of a packed pass: on the host, once per pass, with numpy only.

Every pass has the same number of frames, N, in blocks of 64. Utterances follow each other without padding in strips of
one language each. Every strip starts with a new block, so the blocks of a strip hold the same frames in every pass. The
rest of a strip's last block, and of the pass, is filler: copies of the previous frame, which has the same language. The
results of filler are not used, and a value that is not finite stays within its own language.

Only the front end and the positional convolution look at neighbouring frames, so only they must separate utterances:

* Frame k of the front end sees the samples [320 k, 320 k + 400). In one long recording, every utterance of t frames
  gets t + 1 strides of 320 samples. Then its frames see only its own first 320 t + 80 samples, which is all they would
  see in the utterance alone. The frame at the seam sees two utterances and is dropped.
* The positional convolution has kernel 128 and sees 64 frames back and 63 ahead. So 64 zero frames between two
  utterances have the same effect as the zero padding around a single utterance.

Legend: B utterances, M of them in a recording, U strips, N frames of the pass, R blocks of them, S attended sequences,
P rows of the positional convolution, T frames of the longest utterance.
"""

from dataclasses import dataclass

import numpy as np

from shards.schema import FRONT_END

BLOCK = 64
"""Frames per block. Smaller: less filler at the end of strips. Larger: fewer and larger products."""

STRIDE = int(np.prod([stride for _, stride in FRONT_END]))
"""Samples from one frame to the next: 320."""
RECEPTIVE = 1 + sum(
    (kernel - 1) * int(np.prod([stride for _, stride in FRONT_END[:layer]]))
    for layer, (kernel, _) in enumerate(FRONT_END)
)
"""Samples that a frame sees: 400."""

_ROOM = 32
"""The long recording has room for N / 32 utterances, or a multiple of that. With such coarse steps, nearly all passes
of a run have the same recording length, so convolutions are planned once."""
_GAPPED_STEPS = 2
"""Likewise, the positional convolution has a length of 1.5, 2, 2.5 … times the pass."""


@dataclass(frozen=True, kw_only=True)
class PackedTables:
    """Index tables of one packed pass.

    Attributes:
        frames_B: number of frames of each utterance.
        first_B: position of each utterance's first frame.
        utterance_N, index_N: each frame's utterance, and its number within that utterance.
        gapped_N: each frame's row in the positional convolution.
        strip_R: the strip that each block belongs to.
        utterance_U: the first utterance of each strip, which has the strip's language.
        sequences_S1: the start of each attended sequence and the end of the last, int32; includes filler sequences.
        is_filler_S: True for filler sequences.
        logits_BT: position of frame t of utterance b; past its end, the position of its last frame.
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
        """The first block of each strip, and the end of the last one; everything after that is filler."""
        end = -(-(self.first_B[-1] + self.frames_B[-1]) // BLOCK)
        return np.append(self.first_B[self.utterance_U] // BLOCK, end)

    def rows(self, first_B: np.ndarray) -> np.ndarray:
        """The row of each frame [N] if utterance b starts at row first_B[b]."""
        return first_B[self.utterance_N] + self.index_N


@dataclass(frozen=True)
class JoinedRecording:
    """The positions of utterances in one long recording.

    Attributes:
        first_M: number of each utterance's first frame within the recording.
        frames: number of frames of the recording.
    """

    first_M: np.ndarray
    frames: int

    @property
    def samples(self) -> int:
        """Number of samples: exactly as many as its frames see."""
        return self.frames * STRIDE + RECEPTIVE - STRIDE


def recording_of(frames_M: np.ndarray, places: int, *, is_whole: bool = True) -> JoinedRecording:
    """Lay out utterances with the given numbers of frames in one recording.

    Args:
        places: N of the pass that they belong to.
        is_whole: they are all utterances of the pass; otherwise the recording is shorter, in steps of an eighth.
    """
    eighth, room = max(places // 8, 1), max(places // _ROOM, 1)
    most = places if is_whole else min(-(-int(frames_M.sum()) // eighth) * eighth, places)
    return JoinedRecording(end_to_end(frames_M + 1), most + room * -(-len(frames_M) // room))


def pass_frames(samples: int) -> int:
    """The number of frames, in whole blocks, of a pass of at most `samples` of audio."""
    return max(samples // STRIDE // BLOCK, 1) * BLOCK


def end_to_end(lengths_B: np.ndarray) -> np.ndarray:
    """The start of each item if they follow each other."""
    return np.cumsum(lengths_B) - lengths_B


def samples_seen(frames_B: np.ndarray) -> np.ndarray:
    """The number of samples of each utterance that its frames see."""
    return (frames_B - 1) * STRIDE + RECEPTIVE


def packed_tables(frames: np.ndarray, strips: np.ndarray, *, size: int, gap: int) -> PackedTables:
    """Lay out utterances with the given numbers of frames, in the given order.

    Args:
        strips: the strip of each utterance: 0, 1, 2 … in ascending order, each of one language.
        size: N, a multiple of 64. If the utterances need more, the pass grows in steps of an eighth.
        gap: zero frames that separate utterances in the positional convolution: half of its kernel.
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
    # A filler frame repeats the frame before it.
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
    """The position of each utterance's first frame, and the end of the last block; a strip starts with a new block."""
    first_B, at = np.zeros(len(frames_B), dtype=np.int64), 0
    for number, frames in enumerate(frames_B):
        if number and strip_B[number] != strip_B[number - 1]:
            at = -(-at // BLOCK) * BLOCK
        first_B[number] = at
        at += int(frames)
    return first_B, -(-at // BLOCK) * BLOCK


def _sequences(first_B: np.ndarray, frames_B: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Make every utterance a sequence, and split filler into short ones, which cost little and are never longest."""
    starts: list[int] = []
    filler: list[bool] = []
    for first, end, following in zip(first_B, first_B + frames_B, [*first_B[1:], places], strict=True):
        pieces = range(int(end), int(following), BLOCK)
        starts += [int(first), *pieces]
        filler += [False, *[True] * len(pieces)]
    return np.array([*starts, places], dtype=np.int32), np.array(filler, dtype=bool)
