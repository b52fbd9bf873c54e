"""I2, I3, I5 and I7 with every number of owners: k of 2 and of 4 ranks share every language."""

from pathlib import Path
from typing import Any

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.language_summaries import summarise_languages
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import Ended, run_ranks, written
from tests.distributed.test_elastic import assert_whole_epochs, batches
from tests.training import distance, final_row, start_row, toy_config, train

A, B, C = LANGUAGES = toy_languages(3)
OWNERS = [(2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4)]
NOTE = "tests.distributed.placements:note_rounds"
NOTE_STATES = "tests.distributed.placements:note_states"
PREEMPTED = 75

pytestmark = pytest.mark.parametrize(("world", "owners"), OWNERS, ids=[f"{k} of {w}" for w, k in OWNERS])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("k-owners"), languages=3, train=6, dev=2)


@pytest.fixture(scope="module")
def one_owner(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Path:
    """What one process trains, and in `start` where it begins."""
    folder = tmp_path_factory.mktemp("one-owner")
    train(setting(folder / "run", small_base, shards))
    start_row(folder / "start", A, setting(folder / "start", small_base, shards))
    return folder


def setting(directory: Path, base: Path, shards: Path, **languages: dict[str, Any]) -> Config:
    return toy_config(
        directory,
        base,
        shards,
        optim={"steps": 12, "batch_seconds": 2.0},
        languages={B: languages} if languages else {},
    )


def run(config: Config, world: int, owners: int, **notes: Any) -> Ended:
    """Train with every language owned by the last `owners` ranks."""
    with written(config) as path:
        given = {"config": str(path), "block": (world - owners, owners), "watch": NOTE} | notes
        expect = PREEMPTED if "rounds" in notes else 0
        return run_ranks(world, "tests.distributed.placements:train_with_owners", given, expect=expect)


def rows_are_equal(left: Path, right: Path, languages: list[str]) -> bool:
    return all(bool((final_row(left, code) == final_row(right, code)).all()) for code in languages)


def test_several_owners_train_what_one_does_and_stay_independent(
    tmp_path: Path, small_base: Path, shards: Path, one_owner: Path, world: int, owners: int
) -> None:
    plain = run(setting(tmp_path / "plain", small_base, shards), world, owners)
    groups = {group for placed in plain.notes[0]["placements"].values() for group in placed.values()}
    assert groups == {(world - owners, owners)}, "every language is shared by so many, in every round"
    for language in LANGUAGES:
        moved = [final_row(folder, language) for folder in (tmp_path / "plain", one_owner / "run", one_owner / "start")]
        assert distance(*moved) <= 1e-3, language
    run(setting(tmp_path / "changed", small_base, shards, optim={"lr": 1e-1}), world, owners)
    assert rows_are_equal(tmp_path / "plain", tmp_path / "changed", [A, C])
    assert not rows_are_equal(tmp_path / "plain", tmp_path / "changed", [B])


def test_an_absent_language_keeps_every_bit_on_each_of_its_owners(
    tmp_path: Path, small_base: Path, shards: Path, world: int, owners: int
) -> None:
    config = setting(tmp_path / "run", small_base, shards)
    unread = run(config, world, owners, watch=NOTE_STATES, unread=(3, B), rounds=5)
    assert changed_in(unread, 3, owners) == {A, C}, "nothing of the batch of B could be read"
    with CheckpointStore(tmp_path / "run" / "adapters", keep=2) as store:
        store.roll_back(A, 4)
    held = run(config, world, owners, watch=NOTE_STATES, rounds=3)
    assert all(notes["held"][5] == [B, C] for notes in held.notes[-owners:]), "A has to catch up"
    assert changed_in(held, 5, owners) == {A}
    assert changed_in(held, 6, owners) == {A, B, C}


def changed_in(ended: Ended, number: int, owners: int) -> set[str]:
    """The languages of whose row, moments or clock anything changed in this round: the same on each of the owners."""
    changed = []
    for notes in ended.notes[-owners:]:
        before, after = notes["states"][number], notes["states"][number + 1]
        assert before.keys() == after.keys() == set(LANGUAGES)
        parts = {
            language: [old == new if isinstance(old, int) else old.equal(new) for old, new in zip(*both, strict=True)]
            for language, both in ((language, (before[language], after[language])) for language in LANGUAGES)
        }
        assert all(len(set(same)) == 1 for same in parts.values()), f"clock, row and moments change together: {parts}"
        changed.append({language for language, same in parts.items() if not all(same)})
    assert all(each == changed[0] for each in changed)
    return changed[0]


def test_a_resumed_run_reads_every_utterance_once_and_keeps_every_bit(
    tmp_path: Path, small_base: Path, shards: Path, world: int, owners: int
) -> None:
    whole, stopped = (setting(tmp_path / name, small_base, shards) for name in ("whole", "stopped"))
    expected = batches(run(whole, world, owners))
    read = batches(run(stopped, world, owners, rounds=5)) | batches(run(stopped, world, owners))
    assert read == expected and len(summarise_languages(whole)[1]) == len(LANGUAGES)
    assert_whole_epochs(read, whole, begun=2)
    assert rows_are_equal(tmp_path / "whole", tmp_path / "stopped", LANGUAGES)
