"""Align one recording of any length with its text, from its outputs: when words were said, and utterances cut of them.

Legend: F frames of a block, V labels of the vocabulary, L labels of the text, S states, G gaps between words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.cuts import LONGEST_SECONDS, SHORTEST_SECONDS, Cut, SaidWord, cut
from mms_dist.alignment.emission_file import EmissionFile
from mms_dist.alignment.lattice import Costs, Lattice, beginnings
from mms_dist.alignment.passage import Passage
from mms_dist.alignment.pauses import quietest_places
from mms_dist.alignment.score import bounded, score_of
from mms_dist.alignment.search import RoughTimes, best_path
from mms_dist.emissions.windows import FRAME_SECONDS
from shards.vocabulary import SPACE

BAND = 8192
"""States of a text that are searched at once: about 4,000 characters, which are said in about five minutes.

Text that was not said is found up to this length; speech that is not in the text, at any length.
"""
BLOCK = 256
"""Frames whose steps are in memory at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The shortest and longest utterance to cut, in seconds."""

    shortest: float = SHORTEST_SECONDS
    longest: float = LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class Utterance:
    """A part of a recording with its raw text. Times are in seconds from its beginning."""

    start: float
    end: float
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class RecordingAlignment:
    """What was found in a recording.

    Attributes:
        said: the words of the text that were said, in order.
        seconds: length of the recording.
        words: number of words in the text that can be read.
        unreadable: number of words that cannot, by reason.
    """

    utterances: Sequence[Utterance]
    said: Sequence[SaidWord]
    seconds: float
    words: int
    unreadable: dict[str, int] = field(default_factory=dict)


def align_recording(
    outputs: EmissionFile,
    levels_T: NDArray[np.uint8],
    passage: Passage,
    limits: Limits = Limits(),
    costs: Costs = Costs(),  # noqa: B008
) -> RecordingAlignment:
    """Find the words of a text in the outputs of a recording, and cut utterances where it is quiet (`levels_T`)."""
    seconds = outputs.frames * FRAME_SECONDS
    unreadable: dict[str, int] = {}
    for word in passage.words:
        if word.reason:
            unreadable[word.reason] = unreadable.get(word.reason, 0) + 1
    said, heard_after = find_words(outputs, passage, costs)
    cuts = cut(
        passage,
        said,
        seconds=seconds,
        pauses=quietest_places(said, levels_T),
        heard_after=heard_after,
        shortest=limits.shortest,
        longest=limits.longest,
    )
    utterances = [_utterance(outputs, passage, said, each) for each in cuts]
    return RecordingAlignment(utterances, said, seconds, len(passage.readable), unreadable)


def find_words(outputs: EmissionFile, passage: Passage, costs: Costs) -> tuple[list[SaidWord], int]:
    """Return the words that were said, and the number of labels that were heard after the last one."""
    if not passage.readable or not outputs.frames:
        return [], 0
    lattice = Lattice.tolerant(passage.labels, passage.word_ends, costs)
    found = _Found(outputs, lattice)
    best_path(
        lattice,
        lambda first, stop: bounded(outputs.read(first, stop)),
        outputs.frames,
        found.take,
        block=BLOCK,
        width=BAND,
        times=_times(passage, lattice),
    )
    return found.words(passage)


class _Found:
    """Collects, from the states of the path, when labels were heard, and how much else was heard between words."""

    def __init__(self, outputs: EmissionFile, lattice: Lattice) -> None:
        labels = len(lattice) // 2
        self._outputs = outputs
        self._lattice = lattice
        self._first_L = np.full(labels, -1)
        self._stop_L = np.full(labels, -1)
        self._log_prob_L = np.zeros(labels)
        self._heard_G = np.zeros(len(lattice.gaps), np.int64)

    def take(self, first: int, state_F: NDArray[np.int64]) -> None:
        """Take the path of a block; blocks come from the last to the first."""
        stop = first + len(state_F)
        bounded_FV = bounded(self._outputs.read(first, stop))
        at_label = np.flatnonzero(state_F % 2)
        labels = state_F[at_label] // 2
        unseen = self._stop_L[labels] < 0
        # Of several frames of a label, numpy keeps what is assigned last.
        self._stop_L[labels[unseen]] = first + at_label[unseen] + 1
        self._first_L[labels[::-1]] = first + at_label[::-1]
        np.add.at(self._log_prob_L, labels, bounded_FV[at_label, self._lattice.label_S[state_F[at_label]]])
        gap_F = np.searchsorted(self._lattice.gaps, state_F)
        at_gap = np.flatnonzero(self._lattice.gaps[np.minimum(gap_F, len(self._heard_G) - 1)] == state_F)
        begins_F = beginnings(bounded_FV, self._outputs.read(first - 1, first)[0] if first else None)
        np.add.at(self._heard_G, gap_F[at_gap], begins_F[at_gap])

    def words(self, passage: Passage) -> tuple[list[SaidWord], int]:
        """Return the words that were said, and the number of labels that were heard after the last one."""
        before_G = np.concatenate([[0], np.cumsum(self._heard_G)])
        said: list[SaidWord] = []
        counted, first = 0, 0
        for number, stop in enumerate(passage.word_ends.tolist()):
            if self._first_L[first] >= 0:
                start, end = int(self._first_L[first]), int(self._stop_L[stop - 1])
                frames = (self._stop_L[first:stop] - self._first_L[first:stop]).sum()
                heard = int(before_G[number + 1])
                said.append(
                    SaidWord(
                        passage.readable[number],
                        start * FRAME_SECONDS,
                        end * FRAME_SECONDS,
                        float(self._log_prob_L[first:stop].sum() / frames),
                        heard - counted,
                    )
                )
                counted = heard
            first = stop
        return said, int(before_G[-1]) - counted


def _times(passage: Passage, lattice: Lattice) -> RoughTimes | None:
    """Return where each state may be, from the rough times of the text's lines."""
    rough = passage.rough_frames()
    if rough is None:
        return None
    # A gap may be wherever the words on both sides of it may be.
    words_S = np.searchsorted(passage.word_ends, np.arange(len(lattice)) // 2, "right")
    before_S = np.where(np.isin(np.arange(len(lattice)), lattice.gaps), words_S - 1, words_S)
    first_N, last_N = np.append(rough[0], 0), np.append(rough[1], np.iinfo(np.int64).max)
    return RoughTimes(first_N[before_S], last_N[words_S])  # before the first word it is number -1, after the last one N


def _utterance(outputs: EmissionFile, passage: Passage, said: Sequence[SaidWord], each: Cut) -> Utterance:
    first, last = said[each.first].place, said[each.stop - 1].place
    while last + 1 < len(passage.words) and not (passage.words[last + 1].labels or passage.words[last + 1].reason):
        last += 1  # punctuation that stands alone
    words = passage.words[first : last + 1]
    text = "".join(f" {word.raw}" if word.spaced else word.raw for word in words).strip()
    labels: list[int] = []
    for word in words:
        if word.labels:
            labels += [SPACE, *word.labels] if labels and word.spaced else word.labels
    log_prob_TV = outputs.read(round(each.start / FRAME_SECONDS), round(each.end / FRAME_SECONDS))
    return Utterance(each.start, each.end, text, round(score_of(log_prob_TV, labels), 4))
