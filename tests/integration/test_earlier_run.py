"""A run directory that was written before the second edition of the code: it resumes, and every command reads it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from launcher.cli import main
from mms_dist.api import evaluate, export, run_config
from mms_dist.monitor.events import read_events
from tests.training import train

FIXTURE = Path(__file__).parents[1] / "fixtures" / "earlier_run"
TRAINED = {"taa": 6, "tab": 12, "tac": 10}
"""Last step of each language; the fourth, `tad`, is in quarantine."""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy of the fixture. Its run was written in another folder, so settings say where shards and base are now."""
    return Path(shutil.copytree(FIXTURE, tmp_path / "mms", symlinks=True))


def places(folder: Path) -> list[str]:
    return [f"--data.shards={folder / 'shards'}", f"--model.base={folder / 'base'}"]


def resume(folder: Path) -> str:
    return train(run_config(folder / "run", [*places(folder), f"--run.directory={folder / 'run'}"]))


def tensors(folder: Path, language: str) -> dict[str, torch.Tensor]:
    files = (f"adapter.{language}.safetensors", "optimizer.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(folder / file).items()}


def processor() -> list[str]:
    """What identifies this machine's processor, on Linux."""
    kinds = ("cpu family", "model", "model name", "stepping")
    lines = dict(
        map(str.strip, line.split(":", 1)) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line
    )
    return [lines.get(kind, "") for kind in kinds]


def is_where_it_was_made() -> bool:
    """Whether arithmetic has the same bits here: the same torch on the same processor."""
    made_on = json.loads((FIXTURE / "expected" / "made_on.json").read_text())
    return made_on == {"processor": processor(), "torch": torch.__version__}


def test_an_earlier_run_resumes_as_if_it_had_not_stopped(earlier: Path) -> None:
    before = len(list(read_events(earlier / "run" / "events.jsonl")))
    assert resume(earlier) == "incomplete"
    status = json.loads((earlier / "run" / "status.json").read_text())
    assert (status["exit_code"], status["quarantined"], status["round"]) == (65, ["tad"], 12)
    assert status["steps"] == sum(TRAINED.values())
    kinds = [event["kind"] for event in list(read_events(earlier / "run" / "events.jsonl"))[before:]]
    assert kinds[0] == "run_resumed" and kinds[-1] == "run_incomplete" and kinds.count("finished") == 3
    assert "draws_changed" not in kinds and "data_changed" not in kinds and "checkpoint_damaged" not in kinds
    for language in TRAINED:
        found = tensors(earlier / "run" / "adapters" / language / "last", language)
        expected = tensors(FIXTURE / "expected" / language, language)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert found[name].dtype == tensor.dtype
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)
            assert not is_where_it_was_made() or found[name].equal(tensor), name


def test_status_shows_an_earlier_run(earlier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(earlier / "run"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["round"], shown["steps"], shown["remaining_steps"]) == ("preempted", 6, 15, 13)
    assert main(["status", str(earlier / "run")]) == 0
    assert main(["report", str(earlier / "run")]) == 0
    printed = capsys.readouterr().out
    assert "quarantined" in printed and "none of its training utterances could be read" in printed


def test_an_earlier_run_is_evaluated_and_exported(earlier: Path, tmp_path: Path) -> None:
    resume(earlier)
    results = evaluate(earlier / "run", split="dev", pointer="last", settings=places(earlier))
    assert {language: result.step for language, result in results.items()} == TRAINED | {"tad": 0}
    report = export(earlier / "run", tmp_path / "exported", base=str(earlier / "base"), pointer="last")
    assert {each.language: each.step for each in report.languages} == TRAINED
    assert list(report.left_out) == ["tad"]
    assert (tmp_path / "exported" / "adapter.tab.safetensors").is_file()


def test_a_stopped_earlier_run_is_evaluated_and_exported(earlier: Path, tmp_path: Path) -> None:
    results = evaluate(earlier / "run", split="dev", settings=places(earlier), languages=["tab"])
    assert (results["tab"].step, results["tab"].checkpoint) == (4, "best")
    report = export(earlier / "run", tmp_path / "exported", base=str(earlier / "base"))
    assert {each.language: (each.step, each.pointer) for each in report.languages} == {
        "taa": (3, "last"),
        "tab": (4, "best"),
        "tac": (6, "last"),
    }
