"""`tools/second_environment.py`: what it installs, and that its exit status is pytest's."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
main = runpy.run_path(str(ROOT / "tools" / "second_environment.py"))["main"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Commands, with their variables, in the place of their starts; pytest ends with 5."""
    commands: list[tuple[list[str], dict[str, str]]] = []

    def run(words: list[str], env: dict[str, str] | None = None, **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append((words, dict(env or os.environ)))
        return subprocess.CompletedProcess(words, 5 if "pytest" in words else 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    return commands


def test_the_requested_versions_are_installed_and_the_unit_tests_run(
    started: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    chosen = ["--python", sys.executable, "--torch", "2.11.0", "--transformers", "5.17.0", "--directory", str(tmp_path)]
    assert main(chosen) == 5
    words = [" ".join(command) for command, _ in started]
    assert words[0] == f"{sys.executable} -m venv {tmp_path}"
    assert words[2].endswith(f"--upgrade torch==2.11.0 transformers==5.17.0 --editable {ROOT}[test]")
    assert words[-1].endswith("-m pytest -p no:cacheprovider tests/unit")
    assert all("PIP_CONSTRAINT" not in variables for _, variables in started)
    assert started[-1][1]["PATH"].startswith(f"{tmp_path}/bin:")


def test_packages_go_and_constraints_are_lifted_only_on_request(
    started: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    assert (
        main(["--directory", str(tmp_path), "--lift-constraints", "--without", "deepspeed", "--", "tests/x", "-v"]) == 5
    )
    installation, removal = started[2], started[3]
    assert "==" not in " ".join(installation[0])
    assert installation[1]["PIP_CONSTRAINT"] == os.devnull
    assert removal[0][-3:] == ["--quiet", "--yes", "deepspeed"]
    assert started[-1][0][-2:] == ["tests/x", "-v"]


def test_a_python_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--python", "python2.9"])
    assert end.value.code == 2
    assert "found no 'python2.9', expected python3.12, or the path" in capsys.readouterr().err
