"""A run that was begun when keys told utterances apart goes on, and its log says what is drawn otherwise from when."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.monitor.event_lines import EventLines
from mms_dist.monitor.events import read_events
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.language_slots import LanguageSlots
from tests.corpus import build_toy_shards
from tests.training import final_row, stop_after, toy_config, train

A, B = "taa", "tab"
EARLIER_STATE = {
    *("language", "status", "reason", "step", "round", "admitted_round", "position", "best", "unread_batches"),
    *("utterances", "audio_seconds", "stream", "base"),
}
"""The fields of a checkpoint's state.json as they were written until then."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("earlier"), languages=2, train=8, dev=3)


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Checkpoints are written as by the earlier version, until it is undone."""
    snapshot = LanguageSlots.snapshot

    def as_before(self: LanguageSlots, active: ActiveLanguage) -> Snapshot:
        taken = snapshot(self, active)
        del taken.state["identity_version"], taken.state["dropout_version"]
        assert set(taken.state) == EARLIER_STATE
        return taken

    monkeypatch.setattr(LanguageSlots, "snapshot", as_before)
    return monkeypatch


def told(config: Config) -> list[dict[str, Any]]:
    """Go on with a run, and give back what it says to draw otherwise."""
    log = Path(config.run.directory) / "events.jsonl"
    before = len(list(read_events(log)))
    train(config)
    return [event for event in list(read_events(log))[before:] if event["kind"] == "draws_changed"]


def test_an_earlier_run_resumes_and_says_once_which_draws_change_and_when(
    tmp_path: Path, small_base: Path, shards: Path, earlier: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = toy_config(tmp_path, small_base, shards, checkpoint={"every_rounds": 50})
    stop_after(config, 5)
    earlier.undo()
    capsys.readouterr()
    (event,) = told(config)
    assert event["what"] == ["SpecAugment", "dropout"]
    assert event["after_step"] == {A: 5, B: 5}
    printed = capsys.readouterr().out
    assert printed.count("random draws changed: SpecAugment, dropout: taa from step 6, tab from step 6") == 1
    with CheckpointStore(tmp_path / "adapters", keep=2) as store:
        assert all(store.load(code).step == 12 for code in (A, B))
        assert all(store.load(code).state["identity_version"] == 2 for code in (A, B))
        assert all(store.load(code).state["dropout_version"] == 2 for code in (A, B))
    assert told(toy_config(tmp_path, small_base, shards, optim={"steps": 14})) == []


def test_utterance_identities_in_a_checkpoint_do_not_change_what_follows(
    tmp_path: Path, small_base: Path, shards: Path, earlier: pytest.MonkeyPatch
) -> None:
    one = toy_config(tmp_path / "one", small_base, shards, optim={"steps": 9})
    stop_after(one, 3)
    earlier.undo()
    two = toy_config(tmp_path / "two", small_base, shards, optim={"steps": 9})
    assert [event["after_step"] for event in told(one)] == [{A: 3, B: 3}]
    train(two)
    for code in (A, B):
        assert final_row(tmp_path / "one", code).equal(final_row(tmp_path / "two", code))


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"augment": {"time_prob": 0.0, "feature_prob": 0.0}, "adapter": {"dropout": 0.0}}, {}),
        ({"augment": {"time_prob": 0.0, "feature_prob": 0.0}}, {"dropout": {A: 4, B: 4}}),
        ({"augment": {"time_prob": 0.0}, "adapter": {"dropout": 0.0}}, {"SpecAugment": {A: 4, B: 4}}),
        ({"augment": {"feature_prob": 0.0}, "adapter": {"dropout": 0.0}}, {"SpecAugment": {A: 4, B: 4}}),
        (
            {
                "augment": {"time_prob": 0.0, "feature_prob": 0.0},
                "adapter": {"dropout": 0.0},
                "languages": {B: {"adapter": {"dropout": 0.2}}},
            },
            {"dropout": {B: 4}},
        ),
        (
            {
                "augment": {"time_prob": 0.0, "feature_prob": 0.0},
                "adapter": {"dropout": 0.0},
                "evaluation": {"every_steps": 6, "max_utterances": 2},
            },
            {"the utterances that evaluation.max_utterances chooses": {A: 4, B: 4}},
        ),
        (
            {
                "augment": {"time_prob": 0.0, "feature_prob": 0.0},
                "adapter": {"dropout": 0.0},
                "evaluation": {"every_steps": 6, "max_utterances": 3},  # as many as there are
            },
            {},
        ),
        ({"languages": {A: {"optim": {"steps": 4}}}}, {"SpecAugment": {B: 4}, "dropout": {B: 4}}),  # A has finished
    ],
)
def test_only_languages_of_which_something_is_drawn_otherwise_are_named(
    tmp_path: Path,
    small_base: Path,
    shards: Path,
    earlier: pytest.MonkeyPatch,
    sections: dict[str, Any],
    expected: dict[str, dict[str, int]],
) -> None:
    stop_after(toy_config(tmp_path, small_base, shards, **sections), 4)
    earlier.undo()
    found = told(toy_config(tmp_path, small_base, shards, **sections))
    assert {what: event["after_step"] for event in found for what in event["what"]} == expected


def test_the_step_is_the_languages_own_though_it_came_later_than_others(
    tmp_path: Path, small_base: Path, shards: Path, earlier: pytest.MonkeyPatch
) -> None:
    sections: dict[str, Any] = {"rounds": {"slots": 1, "forward_seconds": 12.0}, "optim": {"steps": 6}}
    stop_after(toy_config(tmp_path, small_base, shards, **sections), 8)  # one after the other
    earlier.undo()
    (event,) = told(toy_config(tmp_path, small_base, shards, **sections))
    (step,) = event["after_step"].values()
    assert step == 2


def test_a_run_of_earlier_dropout_masks_alone_says_only_that_they_change(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = LanguageSlots.snapshot

    def as_before(self: LanguageSlots, active: ActiveLanguage) -> Snapshot:
        taken = snapshot(self, active)
        del taken.state["dropout_version"]
        return taken

    sections: dict[str, Any] = {"languages": {A: {"adapter": {"dropout": 0.0}}}}
    monkeypatch.setattr(LanguageSlots, "snapshot", as_before)
    stop_after(toy_config(tmp_path, small_base, shards, **sections), 4)
    monkeypatch.undo()
    (event,) = told(toy_config(tmp_path, small_base, shards, **sections))
    assert (event["what"], event["after_step"]) == (["dropout"], {B: 4})


def test_a_current_run_prints_no_notice(tmp_path: Path, small_base: Path, shards: Path) -> None:
    config = toy_config(tmp_path, small_base, shards)
    stop_after(config, 4)
    assert told(config) == []


def test_a_language_that_falls_back_to_an_earlier_checkpoint_says_so_again(
    tmp_path: Path, small_base: Path, shards: Path, earlier: pytest.MonkeyPatch
) -> None:
    sections = {"checkpoint": {"every_rounds": 2, "keep": 9}}
    stop_after(toy_config(tmp_path, small_base, shards, **sections), 4)
    earlier.undo()
    stop_after(toy_config(tmp_path, small_base, shards, **sections), 4)
    with CheckpointStore(tmp_path / "adapters", keep=9) as store:
        newest = store.load(B).step
    shutil.rmtree(tmp_path / "adapters" / B / f"step-{newest:08d}")
    for step in range(5, newest):
        shutil.rmtree(tmp_path / "adapters" / B / f"step-{step:08d}", ignore_errors=True)
    assert [event["after_step"] for event in told(toy_config(tmp_path, small_base, shards, **sections))] == [{B: 4}]


def test_a_run_of_many_languages_begins_with_one_line() -> None:
    steps = {f"l{number:02d}": 1_000 + number for number in range(40)}
    event = {"kind": "draws_changed", "what": ["dropout"], "after_step": steps}
    line = EventLines().line(event, None)
    assert line is not None and "\n" not in line
    assert "l00 from step 1,001" in line and "and 35 more" in line and "l05" not in line
