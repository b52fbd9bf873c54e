"""Cut the words of a recording into utterances, at silences.

Where text and audio differ, an utterance ends: at words that were not said, at speech that is not in the text, and at
words that cannot be read. In between, of all ways to cut, the one with the least cost is chosen.

Legend: N words that were said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.passage import Passage

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 20.0
"""Of the utterances, by default."""
_USUAL_SECONDS = 8.0
_PADDING = 0.25
"""Seconds of silence that an utterance has at most before and after its words."""
_LONG_PAUSE, _SHORT_PAUSE = 0.5, 0.08
"""Seconds. Longer pauses are no better for a cut, and in shorter ones a word could be cut."""
_LEFT_OUT = 10.0
_IN_SPEECH, _IN_SENTENCE, _PER_CUT = 4.0, 0.5, 0.5
_SENTENCE_END = re.compile(r"[.!?…。！？।؟:;]['\"»”’)\]]*$")
_HEARD = 3
"""Labels that are heard between two words from which on they are taken for speech that the text does not have."""


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word that was found in the audio.

    Attributes:
        place: of the word in the passage.
        start: seconds.
        end: seconds.
        score: mean log-probability of its labels, relative to the likeliest labels.
        heard_before: number of labels that are heard between the word before it, or the beginning, and this one.
    """

    place: int
    start: float
    end: float
    score: float
    heard_before: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance: the words from one number up to another (of those that were said), and its times in seconds."""

    first: int
    stop: int
    start: float
    end: float


def cut(
    passage: Passage,
    said: Sequence[SaidWord],
    *,
    seconds: float,
    pauses: NDArray[np.float64],
    heard_after: int = 0,
    shortest: float = SHORTEST_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> list[Cut]:
    """Cut words into utterances.

    Args:
        seconds: length of the recording.
        pauses: where to cut between each word and the next, in seconds, `[N - 1]`.
        heard_after: number of labels that are heard after the last word.
        shortest: seconds; words that cannot be in any utterance as long as this are left out.
        longest: seconds.
    """
    if not said:
        return []
    spans = _padded(said, seconds, pauses, heard_after)
    costs_N = _cut_costs(passage, said)
    found: list[Cut] = []
    for first, stop in _runs(passage, said):
        found += _cut_run(first, stop, spans, costs_N, shortest, longest)
    return found


def _runs(passage: Passage, said: Sequence[SaidWord]) -> list[tuple[int, int]]:
    """Return the stretches in which text and audio agree."""
    edges = [0]
    for number in range(1, len(said)):
        between = passage.words[said[number - 1].place + 1 : said[number].place]
        if said[number].heard_before >= _HEARD or any(word.labels or word.reason for word in between):
            edges.append(number)
    return list(zip(edges, [*edges[1:], len(said)], strict=True))


def _padded(
    said: Sequence[SaidWord], seconds: float, pauses: NDArray[np.float64], heard_after: float
) -> NDArray[np.float64]:
    """Return start and end of each word `[N, 2]`, if an utterance began or ended with it."""
    starts = np.array([word.start for word in said])
    ends = np.array([word.end for word in said])
    heard = np.array([*(word.heard_before for word in said), heard_after]) >= _HEARD
    # Up to the place to cut at most, and nothing of the pause if something was said there.
    before = np.concatenate([[starts[0]], starts[1:] - pauses])
    after = np.concatenate([pauses - ends[:-1], [max(seconds - ends[-1], 0.0)]])
    before = np.where(heard[:-1], 0.0, np.minimum(before, _PADDING))
    after = np.where(heard[1:], 0.0, np.minimum(after, _PADDING))
    return np.stack([np.maximum(starts - before, 0), np.minimum(ends + after, seconds)], axis=1).round(3)


def _cut_costs(passage: Passage, said: Sequence[SaidWord]) -> NDArray[np.float64]:
    """Return what a cut after each word costs, `[N]`."""
    costs = np.zeros(len(said))
    for number in range(len(said) - 1):
        word, after = said[number], said[number + 1]
        pause = after.start - word.end
        ends_line = passage.words[word.place].line != passage.words[after.place].line
        last = passage.words[after.place - 1]  # it may be punctuation that stands alone
        costs[number] = (
            _PER_CUT
            + 1.0
            - min(pause, _LONG_PAUSE) / _LONG_PAUSE
            + (_IN_SPEECH if pause < _SHORT_PAUSE else 0.0)
            + (0.0 if ends_line or _SENTENCE_END.search(last.raw) else _IN_SENTENCE)
        )
    return costs


def _cut_run(
    first: int, stop: int, spans: NDArray[np.float64], costs_N: NDArray[np.float64], shortest: float, longest: float
) -> list[Cut]:
    """Cut a stretch in the cheapest way, by dynamic programming over its words."""
    best = [0.0]
    came: list[int | None] = [None]  # where the utterance begins that ends here; None: the word is left out
    for end in range(first, stop):
        choice: int | None = None
        cost = best[-1] + _LEFT_OUT
        for begin in range(end, first - 1, -1):
            length = spans[end, 1] - spans[begin, 0]
            if length > longest:
                break
            if length >= shortest:
                unusual = max(length / _USUAL_SECONDS - 1.0, 0.0) ** 2
                edge = costs_N[end] if end + 1 < stop else 0.0
                total = best[begin - first] + edge + unusual
                if total < cost:
                    choice, cost = begin, total
        best.append(cost)
        came.append(choice)
    found = []
    number = stop
    while number > first:
        start = came[number - first]
        if start is None:
            number -= 1
        else:
            found.append(Cut(start, number, float(spans[start, 0]), float(spans[number - 1, 1])))
            number = start
    return found[::-1]
