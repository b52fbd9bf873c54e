"""`mms-dist transcribe` with nothing to do says so, and loads no model."""

import argparse
from pathlib import Path

import pytest

from launcher.cli import main
from launcher.commands import eval, shards, transcribe


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "list.tsv").write_text("a.wav\nb.wav\n")
    return ["transcribe", str(tmp_path / "no-model"), "--list", str(tmp_path / "list.tsv"), "--lang", "ron"]


def test_what_is_written_already_needs_no_model(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("")
    assert main([*command, "--to", str(tmp_path)]) == 0
    assert f"2 of 2 recordings are already in {tmp_path}; --force transcribes" in capsys.readouterr().err


def test_a_task_of_a_job_array_takes_its_part(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = [*command, "--part", "array"]
    assert main(array) == 2
    assert "not a task of a SLURM job array" in capsys.readouterr().err
    for name, value in {"ID": 7, "MIN": 5, "MAX": 7, "COUNT": 3}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert main(array) == 0
    assert "part 2/3 has no recordings" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "9")
    assert main(array) == 2
    assert "use --array=0-2" in capsys.readouterr().err


def test_a_part_without_recordings_needs_no_model(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--part", "2/3"]) == 0
    assert "part 2/3 has no recordings, as there are only 2" in capsys.readouterr().err


def test_as_many_processes_as_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3, 5, 7})
    monkeypatch.setattr("os.cpu_count", lambda: 128)
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in (transcribe, eval, shards):
        command.add_parser(subparsers)
    assert parser.parse_args(["transcribe", "run"]).processes == 3
    assert parser.parse_args(["eval", "run"]).processes == 3
    assert parser.parse_args(["shards", "verify", "corpus"]).workers == 3
