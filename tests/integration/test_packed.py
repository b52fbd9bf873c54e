"""Training in packed passes: I1 and I7 to the last bit, and one language's trouble is its own."""

from pathlib import Path
from typing import Any

import pytest

from mms_dist.config import Config
from mms_dist.monitor.events import read_events
from mms_dist.training.components import RunComponents
from tests.corpus import build_toy_shards
from tests.training import final_row, stop_after, toy_config, train, train_watched

LANGUAGES = ["taa", "tab", "tac"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("packed"), languages=3, train=8, dev=2)


def packed_config(directory: Path, base: Path, shards: Path, **sections: Any) -> Config:
    """With passes into which the longest utterance of a round hardly fits, so that there are several."""
    own: dict[str, Any] = {"rounds": {"slots": 8, "forward_seconds": 3.0}, "evaluation": {"every_steps": 12}}
    own["model"] = {"base": str(base), "attention": "packed"} | sections.pop("model", {})
    own["augment"] = {"speed": [0.9, 1.0, 1.1]}
    return toy_config(directory, base, shards, **(own | sections))


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Path:
    directory = tmp_path_factory.mktemp("joint")
    train(packed_config(directory, small_base, shards))
    return directory


def test_a_language_becomes_the_same_to_the_last_bit_alone_and_with_others(
    tmp_path: Path, small_base: Path, shards: Path, joint: Path
) -> None:
    for language in LANGUAGES[::2]:
        train(packed_config(tmp_path / language, small_base, shards, data={"languages": [language]}))
        assert final_row(tmp_path / language, language).equal(final_row(joint, language))


def test_a_packed_run_that_is_stopped_and_resumed_is_the_one_that_was_not(
    tmp_path: Path, small_base: Path, shards: Path, joint: Path
) -> None:
    config = packed_config(tmp_path, small_base, shards)
    stop_after(config, 5)
    train(config)
    for language in LANGUAGES:
        assert final_row(tmp_path, language).equal(final_row(joint, language))


def test_nan_and_checkpointing_leave_packed_neighbours_unchanged(
    tmp_path: Path, small_base: Path, shards: Path, joint: Path
) -> None:
    def poison(components: RunComponents) -> None:
        if components.loop.round == 4:
            components.bank.rows.detach()[components.loop.slot_manager.active_languages["tab"].slot, :7] = float("nan")

    config = packed_config(tmp_path, small_base, shards, model={"activation_checkpointing": True})
    train_watched(config, poison)
    events = [event for event in read_events(tmp_path / "events.jsonl") if event["kind"] == "quarantined"]
    assert [event["language"] for event in events] == ["tab"]
    for language in LANGUAGES[::2]:
        assert final_row(tmp_path, language).equal(final_row(joint, language))
