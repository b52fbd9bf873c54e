"""A run in which a language failed does not end well: not for the shell, a scheduler, or whoever uses its adapters."""

import json
import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from launcher.cli import main
from launcher.commands import demo
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import load_config
from mms_dist.run_directory.paths import QUARANTINE_NAME
from mms_dist.run_directory.status_file import read_status
from mms_dist.training import run as training_run
from mms_dist.training.gradients import GradientPass
from tests.corpus import build_toy_shards
from tests.training import toy_config, train

STEPS, EVERY, LATE = 8, 2, 5
POISON = {"tab": LATE, "tac": 1}
"""The step that each language's gradient stops being a number in: one after checkpoints of its training, one before."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("incomplete"), languages=3, train=8, dev=2)


def write_config(folder: Path, base: Path, shards: Path, **sections: Any) -> Path:
    path = folder / "config.yaml"
    own: dict[str, Any] = {
        "optim": {"steps": STEPS, "warmup_steps": 0, "batch_seconds": 2.0, "lr": 3e-3},
        "evaluation": {"every_steps": EVERY},
        "checkpoint": {"every_rounds": EVERY},
    }
    path.write_text(toy_config(folder / "run", base, shards, **(own | sections)).to_yaml(), encoding="utf-8")
    return path


def poison(monkeypatch: pytest.MonkeyPatch, steps: dict[str, int]) -> None:
    """Let the gradient of each language hold a NaN from this step on."""
    accumulate = GradientPass.accumulate

    def poisoned(self: GradientPass, batches: Any, active_languages: Any) -> Any:
        losses = accumulate(self, batches, active_languages)
        for language, step in steps.items():
            if language in active_languages and active_languages[language].progress.step + 1 >= step:
                self._model.bank.grads[active_languages[language].slot, :3] = torch.nan
        return losses

    monkeypatch.setattr(GradientPass, "accumulate", poisoned)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_base: Path, corpus: Path) -> tuple[Path, int]:
    """A run of which one language of three comes to its end, and the exit status of `mms-dist train`."""
    folder = tmp_path_factory.mktemp("run")
    path = write_config(folder, small_base, corpus)
    with pytest.MonkeyPatch.context() as monkeypatch:
        poison(monkeypatch, POISON)
        status = main(["train", "--config", str(path)])
    return folder, status


@pytest.fixture
def folder(trained: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy of it, and of its configuration, that a test may change."""
    shutil.copytree(trained[0] / "run", tmp_path / "run", symlinks=True)
    text = (trained[0] / "config.yaml").read_text().replace(str(trained[0]), str(tmp_path))
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path


def command(name: str, folder: Path, *flags: str) -> int:
    if name == "train":
        return main(["train", "--config", str(folder / "config.yaml"), *flags])
    return main([name, str(folder / "run"), *flags])


def test_a_run_with_a_language_in_quarantine_is_incomplete_with_status_65(
    trained: tuple[Path, int],
) -> None:
    folder, status = trained
    assert status == 65
    told = read_status(folder / "run")
    assert told is not None and told.reason is not None
    assert (told.state, told.exit_code, told.restart, told.quarantined) == ("incomplete", 65, False, ["tab", "tac"])
    for words in ("2 of 3", f"tab (since step {LATE - 1}: the norm of its gradient is nan)", "tac (since step 0"):
        assert words in told.reason
    assert "QUARANTINED.json" in told.reason and "same command" in told.reason


def test_the_first_process_says_why_on_standard_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", folder) == 65, "nothing has been fixed"
    assert "error: 2 of 3 languages are in quarantine: tab (since step" in capsys.readouterr().err


def test_a_restart_of_an_ended_run_ends_the_same_and_loads_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_status(folder / "run")
    monkeypatch.setattr(training_run, "summarise_languages", lambda *args, **options: pytest.fail("it began to work"))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert command("train", folder) == 65
    assert "in quarantine" in capsys.readouterr().err
    after = read_status(folder / "run")
    assert before is not None and after is not None
    assert (after.attempt, after.state, after.exit_code) == (before.attempt + 1, "incomplete", 65)
    assert (after.reason, after.quarantined, after.steps) == (before.reason, before.quarantined, before.steps)


def test_a_language_whose_mark_is_removed_resumes_from_its_good_checkpoint(folder: Path) -> None:
    (folder / "run" / "adapters" / "tab" / QUARANTINE_NAME).unlink()
    assert command("train", folder) == 65
    status = read_status(folder / "run")
    assert status is not None and status.quarantined == ["tac"]
    (folder / "run" / "adapters" / "tac" / QUARANTINE_NAME).unlink()
    assert command("train", folder) == 0
    status = read_status(folder / "run")
    assert status is not None and (status.state, status.quarantined, status.reason) == ("finished", [], None)
    assert command("report", folder) == 0


def test_a_restart_after_the_marks_are_gone_trains_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a job that someone requeues by hand."""
    for language in POISON:
        (folder / "run" / "adapters" / language / QUARANTINE_NAME).unlink()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert command("train", folder) == 0


def test_a_run_of_which_no_language_comes_to_its_end_has_failed(
    tmp_path: Path, small_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, dict.fromkeys(("taa", "tab", "tac"), 1))
    path = write_config(tmp_path, small_base, corpus)
    for _ in range(2):  # the second start finds all of them in quarantine
        assert main(["train", "--config", str(path)]) == 65
        status = read_status(tmp_path / "run")
        assert status is not None and (status.state, status.restart, status.exit_code) == ("failed", False, 65)
        assert status.quarantined == ["taa", "tab", "tac"]


def test_a_run_that_is_stopped_goes_on_whatever_is_in_quarantine(
    tmp_path: Path, small_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, {"tab": 1})
    rounds = iter(range(1000))
    path = write_config(tmp_path, small_base, corpus)
    config = load_config(path)
    assert train(config, stop_requested=lambda: next(rounds) > 4) == "preempted"
    status = read_status(tmp_path / "run")
    assert status is not None and (status.state, status.restart) == ("preempted", True)
    assert train(config) == "incomplete"


def test_status_and_report_mark_the_language_with_the_reason_and_the_step(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"tab quarantined since step {LATE - 1}: the norm of its gradient is nan"
    for name in ("status", "report"):
        assert command(name, folder) == 0
        assert line in capsys.readouterr().out
        assert command(name, folder, "--json") == 0
        values = json.loads(capsys.readouterr().out)
        assert values["languages"]["tab"]["state"] == "quarantined"
        assert values["languages"]["tab"]["quarantined_since_step"] == LATE - 1
        assert values["languages"]["taa"]["quarantined_since_step"] is None
    (folder / "run" / "events.jsonl").unlink()  # the mark alone tells it too
    assert command("report", folder) == 0
    assert line in capsys.readouterr().out


def test_status_says_that_the_run_is_incomplete_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("status", folder) == 0
    told = capsys.readouterr().out
    assert "incomplete" in told and "2 of 3 languages are in quarantine" in told and "2 quarantined" in told
    assert " 50 %" in told, "steps that are lost are not done"
    assert command("status", folder, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["state"], values["restart"], values["ended"]) == ("incomplete", False, "incomplete")
    assert command("report", folder) == 0
    assert f"round {STEPS}, incomplete" in capsys.readouterr().out


def exported(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run" / "export").glob("adapter.*.safetensors"))


def test_export_leaves_out_quarantined_and_untrained_languages(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", folder) == 0
    assert exported(folder) == ["adapter.taa.safetensors"]
    told = capsys.readouterr().out
    assert f"left out: tab, in quarantine since step {LATE - 1}" in told and "left out: tac" in told
    mark = json.loads((folder / "run" / "export" / "mms-dist-export.json").read_text())
    assert set(mark["left_out"]) == {"tab", "tac"}
    assert set(json.loads((folder / "run" / "export" / "vocab.json").read_text())) == {"taa"}
    assert command("export", folder, "--include-quarantined") == 0
    assert exported(folder) == ["adapter.taa.safetensors", "adapter.tab.safetensors"]
    assert f"quarantined: tab, since step {LATE - 1}" in capsys.readouterr().out
    assert "tab (quarantined)" in (folder / "run" / "export" / "README.md").read_text()
    mark = json.loads((folder / "run" / "export" / "mms-dist-export.json").read_text())
    assert [language["quarantined"] is not None for language in mark["languages"]] == [False, True]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--languages", "tab"], ["tab", "since step", "--include-quarantined"]),
        (["--languages", "taa", "tac"], ["tac", "no checkpoint from after a training step"]),
        (["--languages", "tac", "--include-quarantined"], ["tac", "no checkpoint from after a training step"]),
    ],
)
def test_a_language_that_is_named_and_would_be_left_out_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: list[str]
) -> None:
    assert command("export", folder, *flags) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert not (folder / "run" / "export").exists()
    assert command("export", folder, "--languages", "tab", "--include-quarantined", "--adapters-only") == 0


def test_an_export_of_nothing_is_a_failure_and_leaves_an_earlier_one_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", folder) == 0
    shutil.rmtree(folder / "run" / "adapters" / "taa")
    assert command("export", folder) == 1
    told = capsys.readouterr().err
    assert "no language is trained" in told and "--include-quarantined" in told
    assert exported(folder) == ["adapter.taa.safetensors"], "the earlier one"


def test_a_best_before_the_first_step_is_not_handed_out_as_trained(folder: Path) -> None:
    adapters = folder / "run" / "adapters" / "taa"
    steps = sorted(path.name for path in adapters.glob("step-*"))
    untrained = folder / "run" / "adapters" / "tac" / "step-00000000"
    start = adapters / "step-00000000"
    if not start.exists():
        make_start(untrained, adapters / steps[-1], start)
    for name, step in (("best", start.name), ("last", steps[-1])):  # as where nothing was better than the start
        (adapters / name).unlink()
        (adapters / name).symlink_to(step)
    assert command("export", folder, "--languages", "taa") == 0
    mark = json.loads((folder / "run" / "export" / "mms-dist-export.json").read_text())
    assert [(each["step"], each["pointer"]) for each in mark["languages"]] == [(STEPS, "last")]


def make_start(untrained: Path, trained: Path, start: Path) -> None:
    with CheckpointStore(trained.parent.parent, keep=5) as store:
        snapshot = store.load("taa")
        store.save(replace(snapshot, step=0))
    assert start.exists() and untrained.exists()


def test_eval_marks_what_is_in_quarantine_and_what_is_untrained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "scores.json"
    assert command("eval", folder, "--split", "dev", "--output", str(output)) == 0
    told = capsys.readouterr().out
    assert "tab (quarantined)" in told and f"tab: quarantined since step {LATE - 1}" in told
    assert "tac (quarantined, untrained)" in told and "tac: untrained" in told
    values = json.loads(output.read_text())["languages"]
    assert {code: (each["untrained"], each["quarantined"] is None) for code, each in values.items()} == {
        "taa": (False, True),
        "tab": (False, False),
        "tac": (True, False),
    }
    assert values["tab"]["quarantined"]["step"] == LATE - 1


def flip(shard: Path) -> None:
    """Damage every FLAC file in a tar, and none of its headers."""
    content = bytearray(shard.read_bytes())
    start = 0
    while (start := content.find(b"fLaC", start)) >= 0:
        content[start + 200 : start + 260] = bytes(60)
        start += 4
    shard.write_bytes(content)


def test_a_run_whose_dev_utterances_cannot_be_read_is_incomplete(
    tmp_path: Path, small_base: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = Path(shutil.copytree(corpus, tmp_path / "shards"))
    for shard in (shards / "tab").glob("dev-*.tar"):
        flip(shard)
    path = write_config(tmp_path, small_base, shards)
    for _ in range(2):
        assert main(["train", "--config", str(path)]) == 65
        status = read_status(tmp_path / "run")
        assert status is not None and (status.state, status.quarantined) == ("incomplete", [])
        assert "tab: none of the dev utterances could be read" in capsys.readouterr().err
    assert command("eval", tmp_path, "--split", "dev") == 1
    captured = capsys.readouterr()
    assert "error: tab was not scored: none of the 2 dev utterances of tab could be read" in captured.err
    assert "taa" in captured.out and "tac" in captured.out, "the others are scored"
    values = json.loads((tmp_path / "run" / "eval" / "dev.json").read_text())
    assert set(values["languages"]) == {"taa", "tac"} and set(values["failed"]) == {"tab"}
    assert command("eval", tmp_path, "--split", "dev", "--languages", "tab", "--output", str(tmp_path / "x.json")) == 1
    assert not (tmp_path / "x.json").exists(), "there is nothing to write"


def test_a_language_without_a_dev_split_is_no_failure(tmp_path: Path, small_base: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=6, dev=0)
    assert main(["train", "--config", str(write_config(tmp_path, small_base, shards))]) == 0


def test_the_demo_hands_on_that_its_run_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the other commands: what is in quarantine is not scored and exported as if nothing was."""
    called = []

    def pretend(arguments: list[str]) -> int:
        called.append(arguments[0])
        return 65 if arguments[0] == "train" else 0

    monkeypatch.setattr("launcher.cli.main", pretend)
    assert demo.run(Namespace(directory=str(tmp_path), steps=None, processes=1)) == 65
    assert called == ["shards", "train"]
