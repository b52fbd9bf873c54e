"""The search for a text that may differ from what was said finds the best path, in a band and in little memory."""

import itertools
import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mms_dist.alignment.emission_file import EmissionFile
from mms_dist.alignment.lattice import Costs, Lattice
from mms_dist.alignment.recording_alignment import BAND, BLOCK
from mms_dist.alignment.search import KEPT_BYTES, STRIDE, RoughTimes, best_path
from shards.vocabulary import BLANK, FIXED, SPACE, Vocabulary
from tests.slow_decoders import random_log_probs

SMALL = Vocabulary("xxx", (*FIXED, "a", "b"))
COSTS = Costs(heard=0.9, jump=1.5, skipped=0.4, most_skipped=0.9)
WORDS = [["a"], ["b", "a"], ["a"], ["b"]]


def lattice_of(words: list[list[str]], costs: Costs = COSTS) -> Lattice:
    labels = [SMALL.encode(letter)[0] for word in words for letter in word]
    return Lattice.tolerant(np.array(labels), np.cumsum([len(word) for word in words]), costs)


def path_of(lattice: Lattice, log_prob_TV: NDArray[np.float64], **options: object) -> tuple[list[int], float]:
    found = np.full(len(log_prob_TV), -1)

    def take(first: int, states: NDArray[np.int64]) -> None:
        found[first : first + len(states)] = states

    score = best_path(lattice, lambda first, stop: log_prob_TV[first:stop], len(found), take, **{"block": 3, **options})
    return found.tolist(), score


def step_cost(lattice: Lattice, costs: Costs, before: int, after: int) -> float | None:
    """Of one step, or of a jump and a step; None if there is no such step."""
    gaps = set(lattice.gaps.tolist())

    def step(one: int, other: int) -> bool:
        if other - one == 2:
            return other % 2 == 1 and lattice.label_S[one] != lattice.label_S[other]
        return other - one in (0, 1)

    ways = [0.0] if step(before, after) else []
    if before in gaps:
        for gap in gaps:
            if gap > before and step(gap, after):
                ways.append(costs.jump + min(costs.skipped * (gap - before) / 2, costs.most_skipped))
    return min(ways) if ways else None


def brute_force(lattice: Lattice, costs: Costs, log_prob_TV: NDArray[np.float64]) -> float:
    """The score of the best path, by recursion over (frame, state): written apart from the search."""
    last = len(lattice) - 1
    gaps = set(lattice.gaps.tolist())

    def heard(frame: int, state: int) -> float:
        row = log_prob_TV[frame]
        if state not in gaps:
            return float(row[lattice.label_S[state]])
        label, before = row.argmax(), log_prob_TV[frame - 1].argmax() if frame else BLANK
        return float(max(row[BLANK], row[SPACE], row.max() - costs.heard * (label > SPACE and label != before)))

    @cache
    def best_from(frame: int, state: int) -> float:
        if frame == len(log_prob_TV) - 1:
            ends = [0.0] if state in (last, last - 1) else []
            if state in gaps and state != last:
                ends.append(-costs.jump - min(costs.skipped * (last - state) / 2, costs.most_skipped))
            return heard(frame, state) + max(ends, default=-np.inf)
        following = [
            best_from(frame + 1, other) - cost
            for other in range(state, last + 1)
            if (cost := step_cost(lattice, costs, state, other)) is not None
        ]
        return heard(frame, state) + max(following, default=-np.inf)

    starts = [
        best_from(0, state) - cost
        for state in range(last + 1)
        if (cost := step_cost(lattice, costs, 0, state)) is not None
    ]
    return max(starts)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_path_is_the_best_of_all_with_jumps_and_stars(seed: int, count: int) -> None:
    lattice = lattice_of(WORDS[:count])
    log_prob_TV = random_log_probs(7, SMALL, seed) * 1.7
    path, score = path_of(lattice, log_prob_TV)
    assert score == pytest.approx(brute_force(lattice, COSTS, log_prob_TV))
    assert all(step_cost(lattice, COSTS, one, other) is not None for one, other in itertools.pairwise(path))


def spoken(words: list[list[str]], *, sure: float = 6.0, pause: int = 3) -> NDArray[np.float64]:
    """Emissions in which each label is heard for two frames, with a pause after each word."""
    labels = [[SMALL.encode(letter)[0], BLANK] for word in words for letter in [*word, *" " * pause]]
    logit_TV = np.random.default_rng(1).normal(0, 0.3, (2 * len(labels), len(SMALL)))
    for frame, label in enumerate(label for pair in labels for label in pair):
        logit_TV[frame, label] += sure
    return logit_TV - np.log(np.exp(logit_TV).sum(axis=1, keepdims=True))


def words_on(path: list[int], words: list[list[str]]) -> set[int]:
    ends = np.cumsum([len(word) for word in words])
    return {int(np.searchsorted(ends, state // 2, "right")) for state in path if state % 2}


def test_text_that_was_not_said_is_jumped_over() -> None:
    said = [["a", "b"], ["b", "b", "a"], ["a", "a"]] * 4
    extra = [*said[:5], *[["b", "a", "b", "a"]] * 6, *said[5:]]
    path, _ = path_of(lattice_of(extra, Costs()), spoken(said))
    assert words_on(path, extra) == {*range(5), *range(11, 18)}


def test_speech_that_is_not_in_the_text_is_heard_between_words() -> None:
    said = [["a", "b"], ["b", "b", "a"], ["a", "a"]] * 4
    heard = [*said[:5], *[["b", "a", "b", "a"]] * 6, *said[5:]]
    path, _ = path_of(lattice_of(said, Costs()), spoken(heard))
    assert words_on(path, said) == set(range(12))
    frames = spoken(heard[:5]).shape[0], spoken(heard[:11]).shape[0]
    inside = np.array(path[frames[0] : frames[1]])
    assert (inside % 2 == 0).mean() > 0.9, "the extra words are in a gap; at its edge, letters may be taken for others"


def test_a_long_text_that_is_hardly_heard_is_found_if_it_is_trusted() -> None:
    words = [WORDS[place % 4] for place in range(900)]
    log_prob_TV = spoken(words)
    random = np.random.default_rng(1)
    # In most frames something else is likelier than what was said, and by far.
    log_prob_TV[:, [SMALL.encode(letter)[0] for letter in "ab"]] -= 3.0 * random.random((len(log_prob_TV), 2))
    blanks = random.random(len(log_prob_TV)) < 0.5
    log_prob_TV[blanks, BLANK] += 9.0
    log_prob_TV -= np.log(np.exp(log_prob_TV).sum(axis=1, keepdims=True))
    capped = replace(Costs.trusting(), most_skipped=900.0)
    trusting, limited = (
        words_on(path_of(lattice_of(words, costs), log_prob_TV, block=256)[0], words)
        for costs in (Costs.trusting(), capped)
    )
    assert len(trusting) > 0.95 * len(words) > 2 * len(limited), "a limit would be less than the price of the text"


def test_a_band_gives_the_path_of_the_whole_text() -> None:
    random = np.random.default_rng(3)
    said = [list(random.choice(["a", "b"], random.integers(2, 6))) for _ in range(150)]
    log_prob_TV = spoken(said, sure=4.0)
    lattice = lattice_of(said, Costs())
    whole = path_of(lattice, log_prob_TV, block=64)
    assert path_of(lattice, log_prob_TV, block=50, width=len(lattice) // 3) == whole
    assert words_on(whole[0], said) == set(range(150))


def test_rough_times_decide_where_a_repeated_text_lies() -> None:
    text = [["a", "b"], ["b", "a"]] * 4
    log_prob_TV = spoken(text * 2)
    lattice = lattice_of(text, Costs())
    frames = len(log_prob_TV)
    first_S = np.full(len(lattice), frames // 2)
    first_S[0] = 0  # before the text
    late = RoughTimes(first_S, np.full(len(lattice), frames))
    last_S = np.full(len(lattice), frames // 2)
    last_S[-1] = frames  # after it
    early = RoughTimes(np.zeros(len(lattice), np.int64), last_S)
    found = {
        name: [frame for frame, state in enumerate(path_of(lattice, log_prob_TV, times=times)[0]) if state % 2]
        for name, times in (("late", late), ("early", early))
    }
    assert min(found["late"]) >= frames // 2 - STRIDE and max(found["early"]) <= frames // 2 + STRIDE


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    peaks = []
    for repeats in (1, 3):
        said = [["a", "b"], ["b", "b", "a"], ["a", "a"]] * 40 * repeats
        outputs = EmissionFile.write((spoken(said[i : i + 3]) for i in range(0, len(said), 3)), len(SMALL))
        lattice = lattice_of(said, Costs())
        tracemalloc.start()
        best_path(
            lattice, outputs.read, outputs.frames, lambda first, states: None, block=64, width=300, kept_bytes=1000
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        outputs.remove()
    assert peaks[1] < 1.3 * peaks[0]
    assert not list(tmp_path.iterdir())


def test_the_search_of_a_recording_takes_less_than_64_mib() -> None:
    """As docs/data.md states, at the width and block that recordings are searched with."""
    words = [WORDS[place % 4] for place in range(4000)]
    frames = KEPT_BYTES // (8 * BAND) * BLOCK // 8
    log_prob_TV = np.log(np.random.default_rng(1).dirichlet(np.ones(len(SMALL)), frames))
    tracemalloc.start()
    path, _ = path_of(lattice_of(words, Costs()), log_prob_TV, block=BLOCK, width=BAND)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(lattice_of(words)) > BAND and min(path) >= 0
    assert peak + KEPT_BYTES < 64 << 20, "scores that wait are at most KEPT_BYTES, which so few frames do not fill"
