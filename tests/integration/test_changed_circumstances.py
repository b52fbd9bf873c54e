"""What a run meets when it comes back: another base, other shards, other settings, unreadable data."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Wav2Vec2ForPreTraining

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import BaseModelError, CheckpointError, MmsDistError, TrainingError
from mms_dist.model.base import FrozenBase
from mms_dist.monitor.events import read_events
from mms_dist.run_directory.paths import STATUS_NAME
from mms_dist.run_directory.status_file import read_status
from mms_dist.training.components import RunComponents
from shards.index import ShardIndex
from tests.conftest import small_base_config
from tests.corpus import build_toy_shards
from tests.training import final_row, stop_after, toy_config, train, train_watched

A, B = "taa", "tab"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("changed"), languages=2, train=8, dev=2)


def files_of(directory: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name not in ("run.lock", STATUS_NAME)
    }


def events(directory: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_events(directory / "events.jsonl") if event["kind"] == kind]


def save_base(folder: Path, seed: int = 0, **changes: object) -> str:
    torch.manual_seed(seed)
    Wav2Vec2ForPreTraining(small_base_config(**changes)).save_pretrained(folder)  # type: ignore[arg-type]
    return str(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"adapter": {"dim": 16}}, "set adapter.dim to 8"),
        ({"adapter": {"dim": 4}}, "set adapter.dim to 8"),
        ({"base": {"num_hidden_layers": 3}}, "set model.base to that one"),
        ({"base": {"num_hidden_layers": 1}}, "set model.base to that one"),
        ({"base": {"hidden_size": 48}}, "set model.base to that one"),
        ({"base": {"seed": 5}}, "weights differ"),
    ],
)
def test_a_run_never_goes_on_with_another_base_or_dimension(
    tmp_path: Path, small_base: Path, shards: Path, change: dict[str, Any], expected: str
) -> None:
    stop_after(toy_config(tmp_path / "run", small_base, shards), 3)
    before = files_of(tmp_path / "run")
    base = save_base(tmp_path / "base", **change["base"]) if "base" in change else str(small_base)
    with pytest.raises(CheckpointError, match=expected) as caught:
        train(toy_config(tmp_path / "run", Path(base), shards, adapter=change.get("adapter", {})))
    assert A in str(caught.value) and B in str(caught.value)
    assert files_of(tmp_path / "run") == before
    status = read_status(tmp_path / "run")
    assert status is not None and (status.state, status.exit_code, status.restart) == ("failed", 2, False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_a_run_goes_on_in_another_precision_of_the_same_base(
    tmp_path: Path, small_base: Path, shards: Path, dtype: str
) -> None:
    stop_after(toy_config(tmp_path, small_base, shards), 3)
    assert train(toy_config(tmp_path, small_base, shards, model={"dtype": dtype})) == "finished"


def test_the_identity_of_a_base_does_not_depend_on_its_precision(small_base: Path, tmp_path: Path) -> None:
    names = {FrozenBase.load(str(small_base), dtype=dtype).weights_hash() for dtype in (torch.float32, torch.bfloat16)}
    other = FrozenBase.load(save_base(tmp_path / "other", seed=5), dtype=torch.float32).weights_hash()
    assert len(names) == 1 and other not in names


def test_a_base_with_another_front_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="front end"):
        FrozenBase.load(save_base(tmp_path, conv_stride=(5, 2, 2, 2, 2, 2, 1)), dtype=torch.float32)


def test_the_base_is_loaded_once(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = FrozenBase.load

    def counted(name: str, **options: Any) -> FrozenBase:
        loads.append(name)
        return load(name, **options)

    monkeypatch.setattr(FrozenBase, "load", counted)
    train(toy_config(tmp_path, small_base, shards, optim={"steps": 4}))
    assert loads == [str(small_base)]


def damage(shards: Path, language: str, split: str) -> None:
    """Change a byte of every sample of a split; the tars stay as long as they were."""
    index = ShardIndex.load(str(shards)).language(language)
    table = index.table(split)
    for number, shard in enumerate(index.shards(split)):
        path = shards / language / shard.name
        content = bytearray(path.read_bytes())
        for row in range(len(table)):
            if table.shard[row] == number:
                content[int(table.offset[row]) + int(table.size[row]) // 2] ^= 0xFF
        path.write_bytes(content)


def test_a_language_that_cannot_be_read_is_quarantined_after_an_epoch(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    shutil.copytree(shards, tmp_path / "shards")
    damage(tmp_path / "shards", B, "train")
    assert train(toy_config(tmp_path / "run", small_base, tmp_path / "shards")) == "incomplete"
    (quarantined,) = events(tmp_path / "run", "quarantined")
    assert quarantined["language"] == B and "shards verify" in quarantined["reason"]
    assert (tmp_path / "run" / "adapters" / A / "last").resolve().name == "step-00000012"
    assert len(events(tmp_path / "run", "damaged_sample")) == 9  # each named once


def test_an_unreadable_dev_split_is_named_and_stops_nobody(tmp_path: Path, small_base: Path, shards: Path) -> None:
    shutil.copytree(shards, tmp_path / "shards")
    damage(tmp_path / "shards", B, "dev")
    assert train(toy_config(tmp_path / "run", small_base, tmp_path / "shards")) == "incomplete"
    assert {event["language"] for event in events(tmp_path / "run", "damaged_sample")} == {B}
    assert (tmp_path / "run" / "adapters" / B / "best").resolve().name == "step-00000012"


def test_a_finished_language_does_not_train_again_when_its_data_changes(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    own = {B: {"optim": {"steps": 30}}}
    stop_after(toy_config(tmp_path, small_base, shards, languages=own), 14)
    with CheckpointStore(tmp_path / "adapters", keep=9) as store:
        store.roll_back(B, 6)  # as if killed: the others are replayed until then
    row = final_row(tmp_path, A)
    changed = {B: {"optim": {"steps": 30}}, A: {"optim": {"batch_seconds": 3.0}}}
    assert train(toy_config(tmp_path, small_base, shards, languages=changed)) == "finished"
    assert final_row(tmp_path, A).equal(row)
    assert (tmp_path / "adapters" / A / "last").resolve().name == "step-00000012"


def test_weights_that_overflow_quarantine_their_language_only(tmp_path: Path, small_base: Path, shards: Path) -> None:
    def overflow(components: RunComponents) -> None:
        if components.loop.round == 3:
            components.optimizer.buffers["exp_avg_sq"][components.loop.slot_manager.active_languages[B].slot, 0] = (
                float("inf")
            )

    train_watched(toy_config(tmp_path, small_base, shards), overflow)
    assert [event["language"] for event in events(tmp_path, "quarantined")] == [B]
    assert (tmp_path / "adapters" / A / "last").resolve().name == "step-00000012"


def test_fewer_steps_than_were_taken_end_a_language_without_another_step(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    stop_after(toy_config(tmp_path, small_base, shards), 7)
    row = final_row(tmp_path, A)
    assert train(toy_config(tmp_path, small_base, shards, optim={"steps": 5})) == "finished"
    assert final_row(tmp_path, A).equal(row)
    assert {event["step"] for event in events(tmp_path, "finished")} == {7}


def test_a_stop_before_the_first_round_waits_for_no_evaluation(tmp_path: Path, small_base: Path, shards: Path) -> None:
    assert train(toy_config(tmp_path, small_base, shards), stop_requested=lambda: True) == "preempted"
    assert not events(tmp_path, "evaluated")


def test_an_error_between_steps_saves_every_language_and_is_reported(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mms_dist.data.loader import BatchLoader

    take, calls = BatchLoader.take, iter(range(100))

    def broken(self: BatchLoader, requests: Any) -> Any:
        if next(calls) == 6:
            raise TrainingError("the shard is gone")
        return take(self, requests)

    monkeypatch.setattr(BatchLoader, "take", broken)
    config = toy_config(tmp_path, small_base, shards, checkpoint={"every_rounds": 50})
    with pytest.raises(MmsDistError, match="the shard is gone"):
        train(config)
    assert {(tmp_path / "adapters" / code / "last").resolve().name for code in (A, B)} == {"step-00000006"}
    assert events(tmp_path, "run_failed")[-1]["reason"] == "the shard is gone"


def test_a_checkpoint_is_told_of_when_it_is_on_the_disk(tmp_path: Path, small_base: Path, shards: Path) -> None:
    train(toy_config(tmp_path, small_base, shards, checkpoint={"every_rounds": 4, "keep": 99}))
    told = {(event["language"], event["step"]) for event in events(tmp_path, "checkpoint_saved")}
    found = {
        (path.parent.name, int(path.name.removeprefix("step-"))) for path in (tmp_path / "adapters").glob("*/step-*")
    }
    assert told == found


def test_the_runs_configuration_can_be_read_by_others_and_from_anywhere(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards.parent)
    config = toy_config(tmp_path, small_base, Path("shards"), optim={"steps": 4})
    train(config)
    written = tmp_path / "config.yaml"
    assert written.stat().st_mode & 0o044 == 0o044
    assert str(shards) in written.read_text()
    assert not list(tmp_path.glob(".staging-*"))


def test_a_changed_setting_is_told_on_resume(
    tmp_path: Path, small_base: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(toy_config(tmp_path, small_base, shards), 3)
    train(toy_config(tmp_path, small_base, shards), stop_requested=lambda: True)
    capsys.readouterr()
    train(toy_config(tmp_path, small_base, shards, run={"seed": 8}, optim={"lr": 2e-3}))
    told = capsys.readouterr().out
    assert "changed   run.seed: 0 → 8" in told and "changed   optim.lr: 0.003 → 0.002" in told
    assert told.count("changed   ") == 2


def test_a_quarantine_mark_names_what_happened(tmp_path: Path, small_base: Path, shards: Path) -> None:
    def poison(components: RunComponents) -> None:
        if components.loop.round == 3:
            components.bank.rows.detach()[components.loop.slot_manager.active_languages[B].slot] = float("nan")

    train_watched(toy_config(tmp_path, small_base, shards), poison)
    mark = json.loads((tmp_path / "adapters" / B / "QUARANTINED.json").read_text())
    assert mark["round"] == 4 and "gradient" in mark["reason"]
