"""Simulated runs: who trains when, and how long it takes."""

import random
import time
from collections import Counter

import pytest

from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.planning.schedule import least_seconds, phases
from mms_dist.training.scheduler import Ranks
from tests.corpus import toy_languages


def entry(
    language: str, *, steps: int = 100, seconds: float = 36_000.0, batch_seconds: float = 160.0
) -> LanguageSummary:
    return LanguageSummary(
        language=language,
        utterances=max(1, round(seconds / 8)),
        seconds=seconds,
        left_out=0,
        vocabulary_size=40,
        steps=steps,
        batch_seconds=batch_seconds,
    )


def mms_lab() -> list[LanguageSummary]:
    """1,107 languages of 40 hours on average, with a long tail to both sides."""
    rng = random.Random(0)
    hours = [rng.lognormvariate(0.0, 0.9) for _ in range(1107)]
    scale = 40 * 3600 * len(hours) / sum(hours)
    return [
        entry(code, steps=4000, seconds=scale * each) for code, each in zip(toy_languages(1107), hours, strict=True)
    ]


def uneven(count: int) -> list[LanguageSummary]:
    rng = random.Random(count)
    return [
        entry(code, steps=rng.randrange(1, 60), batch_seconds=rng.uniform(80, 240)) for code in toy_languages(count)
    ]


@pytest.mark.parametrize(("world", "slots", "replicate"), [(1, 3, False), (4, 2, False), (4, 5, True), (6, 40, False)])
def test_every_language_takes_all_of_its_steps_in_consecutive_rounds(world: int, slots: int, replicate: bool) -> None:
    summaries = uneven(37)
    taken: Counter[str] = Counter()
    spans: dict[str, list[int]] = {}
    following = 1
    for phase in phases(summaries, Ranks(world, slots, replicate)):
        assert phase.first_round == following and phase.rounds > 0
        following += phase.rounds
        assert phase.placement.keys() == phase.works.keys()
        for language in phase.placement:
            taken[language] += phase.rounds
            spans.setdefault(language, [phase.first_round, 0])[1] = following
    assert taken == {each.language: each.steps for each in summaries}
    assert all(end - first == taken[language] for language, (first, end) in spans.items())


def test_the_queue_is_served_longest_first_and_no_slot_stays_free() -> None:
    summaries = uneven(37)
    work = {each.language: each.work_seconds() for each in summaries}
    present: set[str] = set()
    started: list[str] = []
    for phase in phases(summaries, Ranks(4, 3)):
        came = sorted(phase.placement.keys() - present, key=lambda language: (-work[language], language))
        started += came
        present |= phase.placement.keys()
        assert len(phase.placement) == 12 or phase.waiting == 0
        assert phase.waiting == len(summaries) - len(present)
    assert started == sorted(work, key=lambda language: (-work[language], language))


def test_a_round_costs_what_its_languages_bring() -> None:
    summaries = uneven(37)
    for phase in phases(summaries, Ranks(4, 5)):
        batches = sum(work.seconds for work in phase.works.values())
        assert phase.loads(4).sum() == pytest.approx(batches)
        assert phase.held(4).sum() == sum(block.size for block in phase.placement.values())
        assert phase.held(4).max() <= 5


def test_no_schedule_is_shorter_than_the_least() -> None:
    for world, slots in ((1, 3), (4, 2), (4, 40), (24, 10)):
        summaries = uneven(37)
        audio = sum(phase.rounds * phase.loads(world).max() for phase in phases(summaries, Ranks(world, slots)))
        assert audio >= least_seconds(summaries, world) * (1 - 1e-9)


def test_the_lower_bound_is_the_longest_language_if_it_cannot_be_split() -> None:
    summaries = [entry("one", steps=1000, seconds=320.0), *(entry(code) for code in toy_languages(3))]
    assert summaries[0].work.most_owners == 20
    assert least_seconds(summaries, 64) == pytest.approx(1000 * 160 / 20)
    assert least_seconds(summaries, 2) == pytest.approx((1000 + 3 * 100) * 160 / 2)


# On 1,024 ranks 83 languages are left over when each rank has one, in sixteenths: a batch has 20 utterances.
@pytest.mark.parametrize(
    ("world", "most"), [(8, 0.03), (32, 0.03), (96, 0.03), (256, 0.03), (512, 0.03), (1024, 0.045)]
)
def test_a_thousand_languages_keep_all_ranks_busy_from_beginning_to_end(world: int, most: float) -> None:
    summaries = mms_lab()
    began = time.process_time()
    schedule = list(phases(summaries, Ranks(world, 64)))
    assert time.process_time() - began < 5, "a plan takes seconds"
    rounds = sum(phase.rounds for phase in schedule)
    skews = [phase.rounds * (phase.loads(world).max() / phase.loads(world).mean() - 1) for phase in schedule]
    assert sum(skews) / rounds <= most
    audio = sum(phase.rounds * phase.loads(world).max() for phase in schedule)
    assert audio <= 1.05 * least_seconds(summaries, world)


def test_languages_that_end_one_by_one_keep_all_ranks_busy() -> None:
    rng = random.Random(1)
    summaries = [entry(code, steps=rng.randrange(500, 4000)) for code in toy_languages(200)]
    schedule = list(phases(summaries, Ranks(64, 16)))
    audio = sum(phase.rounds * phase.loads(64).max() for phase in schedule)
    assert audio <= 1.05 * least_seconds(summaries, 64)
