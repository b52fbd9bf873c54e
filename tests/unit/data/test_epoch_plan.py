"""The plan of an epoch: a pure function that loses and repeats nothing."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.epoch_plan import LEAST_BATCHES_PER_WINDOW, plan_epoch


def table(utterances: int, *, shards: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shard numbers and durations of a long-tailed table in shard order."""
    generator = np.random.default_rng(seed)
    durations = np.clip(generator.lognormal(np.log(4), 0.7, utterances), 1, 30)
    return np.sort(generator.integers(0, shards, utterances)), np.rint(durations * 16_000) / 16_000


def plan(shard: np.ndarray, durations: np.ndarray, **changes: object) -> tuple[np.ndarray, ...]:
    arguments: dict = {"seed": 0, "language": "ron", "epoch": 0, "batch_seconds": 160.0, "window_shards": 8} | changes
    return plan_epoch(shard, durations, **arguments)


def same(left: tuple[np.ndarray, ...], right: tuple[np.ndarray, ...]) -> bool:
    return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_utterance_is_in_exactly_one_batch_of_an_epoch(data: st.DataObject) -> None:
    utterances = data.draw(st.integers(1, 400))
    shard = np.array(data.draw(st.lists(st.integers(0, 40), min_size=utterances, max_size=utterances)))
    samples = data.draw(st.lists(st.integers(0, 2_000_000), min_size=utterances, max_size=utterances))
    batches = plan(
        shard,
        np.array(samples) / 16_000,
        seed=data.draw(st.integers(0, 2**70)),
        epoch=data.draw(st.integers(0, 10**6)),
        batch_seconds=data.draw(st.floats(0.1, 1e5)),
        window_shards=data.draw(st.integers(1, 50)),
    )
    assert all(len(batch) > 0 and batch.dtype == np.int64 for batch in batches)
    assert sorted(np.concatenate(batches)) == list(range(utterances))


@pytest.mark.parametrize(
    ("about", "fixed_plan"),
    [
        ({}, [[5, 4], [8], [6], [10, 7, 11], [9], [3, 1], [2], [0]]),
        ({"epoch": 1}, [[8], [6], [10, 7, 11], [9], [5, 4], [2], [0], [3, 1]]),
        ({"seed": 3, "language": "ita", "epoch": 2}, [[6], [5, 4], [8], [10, 7, 11], [9], [2], [3, 1], [0]]),
    ],
)
def test_the_plan_is_fixed_for_ever(about: dict[str, object], fixed_plan: list[list[int]]) -> None:
    """A resumed run must continue the same plan whatever numpy, Python or processor it meets by then."""
    durations = np.array([4.5, 2.25, 8.0, 1.0, 3.5, 3.0, 12.0, 2.0, 5.0, 6.5, 1.5, 2.75])
    batches = plan(np.arange(12) // 4, durations, batch_seconds=6.0, window_shards=2, **about)
    assert [batch.tolist() for batch in batches] == fixed_plan


@pytest.mark.parametrize(
    ("about", "digest"),
    [
        ({}, "25222fbf320fde4e"),
        ({"epoch": 1}, "29ea287699a15944"),
        ({"seed": 9, "language": "ita"}, "e64728c91bc5e0ab"),
        ({"window_shards": 3}, "6d4bc94736ff2395"),
        ({"batch_seconds": 25.0}, "6e43c4810aedc3da"),
    ],
)
def test_the_plan_of_a_large_table_is_fixed_for_ever(about: dict[str, object], digest: str) -> None:
    """The small one above is the same with another jitter of lengths."""
    rows = np.arange(400)
    batches = plan(rows // 35, (16_000 + rows * rows * 7_919 % 300_000) / 16_000, **{"batch_seconds": 60.0} | about)
    text = repr([batch.tolist() for batch in batches])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_seed_language_and_epoch_each_give_another_plan() -> None:
    shard, durations = table(500, shards=10)
    plans = [plan(shard, durations, **change) for change in ({}, {"seed": 1}, {"language": "ita"}, {"epoch": 1})]
    assert same(plans[0], plan(shard, durations))
    assert not any(same(a, b) for i, a in enumerate(plans) for b in plans[:i])


def test_every_epoch_forms_new_batches_and_not_only_a_new_order() -> None:
    shard, durations = table(1000, shards=4)
    epochs = [{frozenset(batch.tolist()) for batch in plan(shard, durations, epoch=epoch)} for epoch in range(2)]
    assert not epochs[0] & epochs[1]


@pytest.mark.parametrize("shards", [1, 9, 64])
def test_batches_hold_about_the_audio_asked_for(shards: int) -> None:
    shard, durations = table(20_000, shards=shards)
    seconds = np.array([durations[batch].sum() for batch in plan(shard, durations)])
    assert seconds.mean() == pytest.approx(160, rel=0.05)
    assert 0.8 * 160 < seconds.min() <= seconds.max() < 1.2 * 160


def test_very_small_shards_do_not_make_small_batches() -> None:
    shard, durations = table(1_000, shards=500)
    seconds = [durations[batch].sum() for batch in plan(shard, durations, window_shards=1)]
    least = 1 - 1 / LEAST_BATCHES_PER_WINDOW
    assert min(seconds) > least * 160
    assert len(seconds) == pytest.approx(durations.sum() / 160, rel=1 / LEAST_BATCHES_PER_WINDOW)


def test_a_table_shorter_than_a_batch_is_one_batch() -> None:
    assert len(plan(*table(10, shards=3))) == 1
    assert len(plan(np.array([7]), np.array([4.0]))) == 1


def test_an_empty_table_has_no_batches() -> None:
    assert plan(np.zeros(0, dtype=np.int32), np.zeros(0)) == ()


def test_an_utterance_longer_than_a_batch_is_planned() -> None:
    batches = plan(np.zeros(3, dtype=np.int32), np.array([1.0, 500.0, 1.0]), batch_seconds=10.0)
    assert sorted(np.concatenate(batches)) == [0, 1, 2]
    assert any(batch.tolist() == [1] for batch in batches)


def test_reads_stay_within_a_window_of_shards() -> None:
    shard, durations = table(20_000, shards=40)
    batches = plan(shard, durations, window_shards=8)
    first_use = {}
    last_use = {}
    for number, batch in enumerate(batches):
        for name in set(shard[batch].tolist()):
            first_use.setdefault(name, number)
            last_use[name] = number
    open_shards = [sum(first_use[s] <= n <= last_use[s] for s in first_use) for n in range(len(batches))]
    assert max(open_shards) == 8


def test_shards_are_visited_in_another_order_every_epoch() -> None:
    shard, durations = table(5_000, shards=20)
    firsts = {shard[plan(shard, durations, epoch=epoch, window_shards=1)[0][0]] for epoch in range(8)}
    assert len(firsts) > 3


def test_utterances_of_a_batch_have_similar_lengths() -> None:
    shard, durations = table(5_000, shards=8)
    spread = [durations[batch].std() for batch in plan(shard, durations)]
    assert np.median(spread) < 0.15 * durations.std()


def test_lengths_of_successive_batches_are_shuffled() -> None:
    shard, durations = table(5_000, shards=8)
    means = np.array([durations[batch].mean() for batch in plan(shard, durations)])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3


def test_batches_cannot_be_changed_by_their_reader() -> None:
    batch = plan(*table(100, shards=2))[0]
    with pytest.raises(ValueError, match="read-only"):
        batch[0] = 5
