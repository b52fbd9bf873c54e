"""A resumed run goes on at its oldest open checkpoint; languages that are further ahead are replayed unchanged."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.data.stream import Position
from mms_dist.errors import CheckpointError
from mms_dist.hardware.base_loading import load_base
from mms_dist.monitor.events import read_events
from mms_dist.run_directory.quarantine import write_mark
from mms_dist.training.components import RunComponents
from mms_dist.training.progress import QUARANTINED, Progress
from mms_dist.training.restore import Restored, restore
from tests.corpus import build_toy_shards
from tests.distributed.placements import read_nothing_of
from tests.training import final_row, toy_config, train_watched

A, B = "taa", "tab"
EVERY_ROUNDS = 4
STEPS = 16


class Seen(NamedTuple):
    """A language before a round."""

    position: Position
    held: bool
    step: int


Rounds = dict[int, dict[str, Seen]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("replay"), languages=2, train=8, dev=2)


def setting(directory: Path, base: Path, shards: Path, **sections: Any) -> Config:
    own: dict[str, Any] = {
        "optim": {"steps": STEPS, "warmup_steps": 4},
        "checkpoint": {"every_rounds": EVERY_ROUNDS, "keep": 99},
        "evaluation": {"every_steps": 100},
    }
    return toy_config(directory, base, shards, **(own | sections))


def run(config: Config, rounds: int | None = None) -> Rounds:
    """Train, for so many rounds or to the end; the languages as they were before each round."""
    seen: Rounds = {}

    def note(components: RunComponents) -> None:
        number = components.loop.round + 1
        seen[number] = {
            t.language: Seen(t.position, t.is_replaying(number), t.progress.step)
            for t in components.loop.slot_manager.in_order()
        }
        if rounds is not None:
            components.loop.stop_requested = lambda: components.loop.round >= rounds

    train_watched(config, note)
    return seen


def roll_back(directory: Path, language: str, step: int) -> None:
    with CheckpointStore(directory / "adapters", keep=99) as store:
        store.roll_back(language, step)


def same(one: Path, other: Path) -> bool:
    return all(final_row(one, code).equal(final_row(other, code)) for code in (A, B))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> tuple[Path, Rounds]:
    directory = tmp_path_factory.mktemp("whole")
    return directory, run(setting(directory, small_base, shards))


def test_a_language_that_is_ahead_replays_unchanged_up_to_its_checkpoint(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, Rounds]
) -> None:
    directory, first = whole
    config = setting(tmp_path, small_base, shards)
    stopped_at, back_to = 10, 4
    assert EVERY_ROUNDS < stopped_at - back_to < 2 * EVERY_ROUNDS, "more than one interval, and less than two"
    run(config, stopped_at)
    roll_back(tmp_path, A, back_to)
    again = run(config)
    assert list(again) == list(range(back_to + 1, STEPS + 1))
    for number, languages in again.items():
        assert {language: seen.position for language, seen in languages.items()} == {
            language: seen.position for language, seen in first[number].items()
        }
        assert languages[A] == first[number][A], "it does its rounds again"
        assert languages[B].held == (number <= stopped_at)
        assert languages[B].step == max(number - 1, stopped_at)
    assert same(tmp_path, directory)


def test_a_language_that_had_ended_leaves_after_its_last_round_unchanged(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    def of(directory: Path) -> Config:
        return setting(directory, small_base, shards, languages={B: {"optim": {"steps": 7}}})

    run(of(tmp_path / "whole"))
    run(of(tmp_path / "stopped"), 10)
    roll_back(tmp_path / "stopped", A, 4)
    again = run(of(tmp_path / "stopped"))
    assert [number for number, languages in again.items() if B in languages] == [5, 6, 7]
    assert all(languages[B].held for number, languages in again.items() if number <= 7)
    assert same(tmp_path / "whole", tmp_path / "stopped")
    finished = [e for e in read_events(tmp_path / "stopped" / "events.jsonl") if e["kind"] == "finished"]
    assert [(e["language"], e["step"]) for e in finished] == [(B, 7), (A, STEPS)], "it is told once"


def test_a_language_more_than_two_intervals_behind_is_not_waited_for(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = setting(tmp_path, small_base, shards)
    run(config, 13)
    roll_back(tmp_path, A, 4)
    again = run(config)
    assert min(again) == 14 and again[14][A].step == 4 and again[14][B].step == 13
    assert not any(seen.held for languages in again.values() for seen in languages.values())
    assert len([number for number, languages in again.items() if A in languages]) == STEPS - 4


@pytest.mark.parametrize("changed", ["settings", "shards"])
def test_a_language_with_changed_batches_begins_a_new_epoch_and_says_so(
    changed: str, tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, Rounds]
) -> None:
    own: dict[str, Any] = {}
    if changed == "settings":
        own = {"languages": {B: {"optim": {"batch_seconds": 3.0}}}}
        languages = [B]
    else:
        languages = [A, B]
    directory = tmp_path / "run"
    run(setting(directory, small_base, shards), 6)
    if changed == "shards":
        shards = build_toy_shards(tmp_path / "other", languages=2, train=9, dev=2)
    roll_back(directory, A, 4)
    again = run(setting(directory, small_base, shards, **own), 9)
    told = [e for e in read_events(directory / "events.jsonl") if e["kind"] == "data_changed"]
    assert sorted(e["language"] for e in told) == languages
    assert min(again) == 5
    after_its_checkpoint = Position(whole[1][7][B].position.epoch + 1, 0)
    assert again[5][B] == Seen(after_its_checkpoint, held=False, step=6), (
        "its batches are others, so it cannot be replayed"
    )
    if A not in languages:
        assert again[5][A] == whole[1][5][A]
    run(setting(directory, small_base, shards, **own))
    told_then = [e for e in read_events(directory / "events.jsonl") if e["kind"] == "data_changed"]
    assert told_then == told, "the next checkpoint is of the new batches"


def test_languages_are_evaluated_by_their_steps_and_saved_by_rounds(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = setting(
        tmp_path,
        small_base,
        shards,
        rounds={"slots": 1},
        optim={"steps": 14, "warmup_steps": 4},
        languages={B: {"optim": {"steps": 7}}},
        evaluation={"every_steps": 5},
    )
    run(config)
    events = list(read_events(tmp_path / "events.jsonl"))
    evaluated = [e for e in events if e["kind"] == "evaluated"]
    steps = {code: [e["step"] for e in evaluated if e["language"] == code] for code in (A, B)}
    assert steps == {A: [0, 5, 10, 14], B: [0, 5, 7]}
    assert [e["round"] for e in evaluated if e["language"] == B] == [14, 19, 21]
    saved = {e["round"] for e in events if e["kind"] == "checkpoint_saved" and e["language"] == B}
    assert saved - {19} == {14, 16, 20, 21}, "all languages at the same rounds, so that a kill sets none far back"


@pytest.mark.parametrize("steps", [5, 6])
def test_a_language_with_no_steps_left_to_take_has_ended(
    steps: int, tmp_path: Path, small_base: Path, shards: Path
) -> None:
    run(setting(tmp_path, small_base, shards), 6)
    row = final_row(tmp_path, A)
    assert run(setting(tmp_path, small_base, shards, optim={"steps": steps, "warmup_steps": 4})) == {}
    assert final_row(tmp_path, A).equal(row)


def test_a_run_does_not_resume_with_another_vocabulary_of_the_same_size(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    run(setting(tmp_path / "run", small_base, shards), 2)
    others = tmp_path / "shards"
    shutil.copytree(shards, others)
    path = others / B / "vocab.json"
    tokens = json.loads(path.read_text(encoding="utf-8"))
    first, second, *_ = [token for token in tokens[B] if len(token) == 1 and token.isalpha()]
    tokens[B][first], tokens[B][second] = tokens[B][second], tokens[B][first]
    path.write_text(json.dumps(tokens, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"the checkpoint of {B} .* restore the shards"):
        run(setting(tmp_path / "run", small_base, others))


def restored(config: Config) -> Restored:
    index, summaries = summarise_languages(config)
    with CheckpointStore(Path(config.run.directory) / "adapters", keep=99) as store:
        return restore(config, store, index, summaries, load_base(config))


def test_progress_counts_all_languages_and_those_that_have_ended(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = setting(tmp_path, small_base, shards, languages={B: {"optim": {"steps": 7}}})
    assert restored(config).resumed is False
    run(config, 10)
    found = restored(config)
    assert (found.resumed, found.round, found.steps, found.ended) == (True, 10, 10 + 7, 1)
    assert [candidate.language for candidate in found.present] == [A] and found.queue == []
    assert found.present[0].seconds_left == pytest.approx((STEPS - 10) * 4.0)


def test_a_quarantined_language_without_a_whole_checkpoint_is_not_replayed(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = setting(tmp_path, small_base, shards)
    run(config, 10)
    roll_back(tmp_path, A, 4)
    progress = Progress(language=B, status=QUARANTINED, reason="its gradient", step=10, round=10)
    write_mark(tmp_path / "adapters", B, progress.to_state())
    for folder in (tmp_path / "adapters" / B).glob("step-*"):
        (folder / "state.json").write_text("{}")
    again = run(config)
    assert min(again) == 5 and all(list(languages) == [A] for languages in again.values())


def test_a_batch_of_which_nothing_could_be_read_is_passed_over_once(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, Rounds]
) -> None:
    seen: Rounds = {}

    def note(components: RunComponents) -> None:
        number = components.loop.round + 1
        seen[number] = {
            t.language: Seen(t.position, False, t.progress.step) for t in components.loop.slot_manager.in_order()
        }
        if number == 3:
            read_nothing_of(components, B)

    train_watched(setting(tmp_path, small_base, shards), note)
    for number in range(1, STEPS + 1):
        expected = whole[1][number]
        assert seen[number][A] == expected[A]
        assert seen[number][B] == expected[B]._replace(step=number - 1 - (number > 3))
    assert list(seen) == list(range(1, STEPS + 2)), "and its step is made up for"
    assert final_row(tmp_path, A).equal(final_row(whole[0], A))
