"""Which utterances come in an epoch: a cap holds exactly, what it leaves out comes next, and no restart changes it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.batch_shard import BatchShard
from mms_dist.data.epoch_selection import NO_GROUP, EpochSelection, shares_of
from shards.schema import SAMPLE_RATE


def select(group: np.ndarray, seconds: np.ndarray, **changes: object) -> EpochSelection:
    samples = np.rint(np.asarray(seconds) * SAMPLE_RATE).astype(np.int64)
    return EpochSelection(np.asarray(group), samples, **({"seed": 0, "language": "ron"} | changes))


def one_speaker_of_80_per_cent(utterances: int = 500) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return np.where(np.arange(utterances) % 10 < 8, 0, 1 + np.arange(utterances) % 3), random.uniform(1, 12, utterances)


def seconds_of(items: np.ndarray, group: np.ndarray, seconds: np.ndarray, number: int) -> float:
    rows = items % len(group)
    return float(np.rint(seconds[rows[group[rows] == number]] * SAMPLE_RATE).sum() / SAMPLE_RATE)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_cap_holds_in_every_epoch_and_every_utterance_gets_its_turn(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    group = np.array(data.draw(st.lists(st.integers(NO_GROUP, 4), min_size=count, max_size=count)))
    seconds = np.array(data.draw(st.lists(st.integers(1, 30), min_size=count, max_size=count)), dtype=float)
    cap = data.draw(st.none() | st.floats(1.0, 300.0))
    chosen = select(group, seconds, cap_seconds=cap, temperature=data.draw(st.floats(1.0, 50.0)))
    epochs = data.draw(st.integers(1, 12))
    times = np.zeros(count, dtype=int)
    for epoch in range(epochs):
        items = chosen.items(epoch)
        rows, counts = np.unique(items % count, return_counts=True)
        numbered = [row + count * again for row, many in zip(rows, counts, strict=True) for again in range(many)]
        assert sorted(numbered) == items.tolist(), "repetitions are numbered from 0"
        times[rows] += counts
        if cap is not None:
            assert all(seconds_of(items, group, seconds, number) <= cap for number in range(5))
        if (chosen.usable & (group != NO_GROUP)).any():
            assert len(items) > (group == NO_GROUP).sum(), "an epoch is never without the groups"
    assert (times[group == NO_GROUP] == epochs).all(), "what has no group comes once an epoch"
    assert (times[~chosen.usable] == 0).all()
    for number in range(5):
        own = times[(group == number) & chosen.usable]
        assert own.size == 0 or own.max() - own.min() <= 1, "none a second time before all others of its group"


def test_without_cap_and_temperature_every_utterance_comes_once() -> None:
    group, seconds = one_speaker_of_80_per_cent()
    for epoch in (0, 1, 7):
        assert select(group, seconds).items(epoch).tolist() == list(range(len(group)))
    rare = select(group, seconds, cap_seconds=1e6)
    assert rare.items(3).tolist() == list(range(len(group))), "nor if no group has as much as the cap"


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_the_cap_of_a_speaker_of_80_per_cent_holds_on_any_processes(processes: int) -> None:
    group, seconds = one_speaker_of_80_per_cent()
    whole, cap = seconds[group == 0].sum(), 300.0
    assert whole / seconds.sum() > 0.75
    chosen = select(group, seconds, cap_seconds=cap)
    seen: set[int] = set()
    for epoch in range(int(whole / cap) + 2):
        shares = [BatchShard(rank, processes).take(chosen.items(epoch)) for rank in range(processes)]
        items = np.concatenate(shares)
        found = seconds_of(items, group, seconds, 0)
        assert cap - seconds.max() < found <= cap, "as much as fits, and no more"
        assert len(set(items.tolist())) == len(items)
        first = {item for item in items.tolist() if group[item] == 0}
        assert not first & seen or len(seen) > (group == 0).sum() - len(first), "what was left out comes first"
        seen |= first
    assert len(seen) == (group == 0).sum(), "all of the speaker comes, by and by"


def test_an_epoch_is_the_same_after_a_restart_and_in_any_order() -> None:
    group, seconds = one_speaker_of_80_per_cent()
    kind = {"cap_seconds": 200.0, "temperature": 3.0}
    travelled = select(group, seconds, **kind)
    for epoch in (*range(30), 2, 17, 0, 30):
        items = travelled.items(epoch)
        assert np.array_equal(items, select(group, seconds, **kind).items(epoch)), "from nothing"
    assert not np.array_equal(travelled.items(4), travelled.items(5))
    assert not np.array_equal(travelled.items(4), select(group, seconds, seed=1, **kind).items(4))


@pytest.mark.parametrize("temperature", [1.5, 2.0, 5.0])
def test_a_groups_share_is_its_hours_to_the_power_of_1_over_t(temperature: float) -> None:
    group, seconds = one_speaker_of_80_per_cent()
    chosen, epochs = select(group, seconds, temperature=temperature), 40
    found = np.zeros(4)
    for epoch in range(epochs):
        found += [seconds_of(chosen.items(epoch), group, seconds, number) for number in range(4)]
    hours = np.bincount(group, weights=seconds)
    wanted = hours ** (1 / temperature) / (hours ** (1 / temperature)).sum()
    assert found / found.sum() == pytest.approx(wanted, rel=2e-3)
    assert found.sum() / epochs == pytest.approx(seconds.sum(), rel=1e-2), "an epoch is as long as before"


def test_the_cap_comes_before_the_temperature_and_holds_after_it() -> None:
    group, seconds = one_speaker_of_80_per_cent()
    chosen = select(group, seconds, cap_seconds=400.0, temperature=1e6)
    assert seconds_of(chosen.items(0), group, seconds, 0) <= 400.0
    capped = np.minimum(np.bincount(group, weights=seconds), 400.0)
    assert chosen.quotas / SAMPLE_RATE == pytest.approx(np.minimum(capped.mean(), 400.0) * np.ones(4), rel=1e-3)
    assert chosen.average_samples / SAMPLE_RATE == pytest.approx(capped.sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("epoch", "items"),
    [(0, [2, 3, 6, 7, 8, 16]), (1, [0, 1, 3, 4, 6, 7, 16]), (5, [1, 2, 3, 6, 7, 8, 16, 25])],
)
def test_the_items_are_fixed_for_ever(epoch: int, items: list[int]) -> None:
    """A resumed run must go on with the same utterances, whatever numpy, Python or processor it meets by then."""
    group = np.array([0, 0, 0, 1, 0, 0, NO_GROUP, 2, 0])
    seconds = np.array([2.5, 3.0, 1.25, 4.0, 2.0, 3.5, 9.0, 1.0, 2.25])
    chosen = select(group, seconds, seed=5, cap_seconds=7.5, temperature=2.0)
    assert chosen.items(epoch).tolist() == items


def test_shares_are_whole_and_exact_where_amounts_are_equal() -> None:
    assert shares_of(np.array([7, 7, 7]), 3.0).tolist() == [7, 7, 7]
    assert shares_of(np.array([5, 0, 11]), 1.0).tolist() == [5, 0, 11]
    assert shares_of(np.array([100, 0, 900]), 2.0).tolist() == [250, 0, 750]
    assert shares_of(np.array([0, 0]), 2.0).tolist() == [0, 0]
