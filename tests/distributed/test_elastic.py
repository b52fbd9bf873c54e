"""I5 and I7 on processes: a run goes on with any number of them."""

from pathlib import Path
from typing import Any

import pytest

from mms_dist.config import Config
from mms_dist.data.language_summaries import summarise_languages
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import Ended, train_ranks, train_rounds
from tests.training import distance, final_row, start_row, toy_config, train

LANGUAGES = toy_languages(5)
NOTE = "tests.distributed.placements:note_rounds"
PREEMPTED = 75
BALANCED, CAP_SECONDS = LANGUAGES[3], 3.5
SPEAKERS = ["anna", "anna", "anna", "anna", "bela"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("elastic"), languages=5, train=5, dev=2, speakers=SPEAKERS)


def setting(directory: Path, base: Path, shards: Path, dtype: str = "float64") -> Config:
    return toy_config(
        directory,
        base,
        shards,
        model={"dtype": dtype},
        optim={"steps": 20, "batch_seconds": 2.0},
        languages={BALANCED: {"balance": {"by": "speaker", "cap_seconds": CAP_SECONDS, "weights": {"anna": 0.5}}}},
    )


def test_a_run_resumed_on_other_numbers_of_ranks_learns_what_one_rank_does(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    one = train_ranks(setting(tmp_path / "one", small_base, shards), 1, watch=NOTE)
    read: dict[int, dict[str, Any]] = {}
    worlds, rounds = (4, 2, 1, 8, 3, 4), (3, 2, 4, 2, 4)  # each stops where nothing is saved or evaluated anyway
    assert set(worlds[:-1]) == set(worlds[1:]) == {1, 2, 3, 4, 8}, "each is stopped on and gone on with"
    elastic = setting(tmp_path / "elastic", small_base, shards)
    for number, world in enumerate(worlds):
        last = number == len(worlds) - 1
        notes = {} if last else {"rounds": rounds[number]}
        ended = train_ranks(elastic, world, watch=NOTE, notes=notes, expect=0 if last else PREEMPTED)
        new = batches(ended)
        assert not read.keys() & new.keys(), f"no round is done again on {world} ranks"
        read |= new
    assert read == batches(one), "every batch of every language, in its order, whoever read it"
    assert_whole_epochs(read, elastic)
    start_row(tmp_path / "start", LANGUAGES[0], elastic)  # of all languages
    for language in LANGUAGES:
        start = final_row(tmp_path / "start", language)
        found = distance(final_row(tmp_path / "elastic", language), final_row(tmp_path / "one", language), start)
        assert found <= 1e-9


@pytest.mark.parametrize("world", [2, 4])
def test_a_run_that_is_stopped_goes_on_bit_for_bit_on_as_many_ranks(
    tmp_path: Path, small_base: Path, shards: Path, world: int
) -> None:
    whole, stopped = (setting(tmp_path / name, small_base, shards, "float32") for name in ("whole", "stopped"))
    train_ranks(whole, world)
    train_rounds(stopped, world, 3, rank=world - 1)
    train_rounds(stopped, world, 8, rank=0)
    train_ranks(stopped, world)
    for language in LANGUAGES:
        assert (final_row(tmp_path / "whole", language) == final_row(tmp_path / "stopped", language)).all()


def test_a_finished_run_of_one_process_has_nothing_left_for_two(tmp_path: Path, small_base: Path, shards: Path) -> None:
    finished = setting(tmp_path / "run", small_base, shards)
    train(finished)
    ended = train_ranks(finished, 2, watch=NOTE)
    assert all("placements" not in notes for notes in ended.notes)


def batches(ended: Ended) -> dict[int, dict[str, Any]]:
    """By round and language: epoch, batch and the utterances that all ranks together read, each once."""
    found: dict[int, dict[str, Any]] = {}
    for notes in ended.notes:
        for number, reads in notes.get("reads", {}).items():
            for language, (epoch, batch, keys) in reads.items():
                before = found.setdefault(number, {}).get(language, (epoch, batch, []))
                assert before[:2] == (epoch, batch) and not set(before[2]) & set(keys)
                found[number][language] = (epoch, batch, sorted([*before[2], *keys]))
    return found


def assert_whole_epochs(read: dict[int, dict[str, Any]], config: Config, *, begun: int = 3) -> None:
    """Every utterance once in each epoch that was read to its end, or as the cap says; at least so many were begun."""
    index, summaries = summarise_languages(config)
    for entry in summaries:
        table = index.language(entry.language).table("train")
        everything = sorted(map(str, table.keys))
        is_annas = dict(zip(map(str, table.keys), table.speaker == "anna", strict=True))
        seconds = dict(zip(map(str, table.keys), table.durations, strict=True))
        epochs: dict[int, list[str]] = {}
        for number in sorted(read):
            if entry.language in read[number]:
                epoch, _, keys = read[number][entry.language]
                epochs.setdefault(epoch, []).extend(keys)
        assert len(epochs) >= begun
        for epoch in sorted(epochs)[:-1]:
            if entry.language != BALANCED:
                assert sorted(epochs[epoch]) == everything
                continue
            hers = [key for key in epochs[epoch] if is_annas[key]]
            assert sum(map(seconds.get, hers)) <= CAP_SECONDS < sum(seconds[key] for key in everything if is_annas[key])
            assert len(set(epochs[epoch])) == len(epochs[epoch]) < len(everything)
            assert {key for key in everything if not is_annas[key]} <= set(epochs[epoch])
        if entry.language == BALANCED:
            assert {key for keys in epochs.values() for key in keys} == set(everything), "all come by and by"
