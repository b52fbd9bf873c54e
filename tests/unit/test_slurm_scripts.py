"""The shell scripts: free of what bash and shellcheck complain of, and with what a restartable job needs."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "slurm"
SCRIPTS = sorted([*FOLDER.glob("*.sbatch"), *FOLDER.glob("*.sh")])
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_it(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([SHELLCHECK, *SCRIPTS], capture_output=True, text=True, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["train", "shards"])
def test_a_job_that_can_go_on_is_requeued_warned_and_keeps_its_log(name: str) -> None:
    lines = (FOLDER / f"{name}.sbatch").read_text().splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert {"--requeue", "--open-mode=append"} <= options
    assert any(option.startswith("--signal=B:USR1@") for option in options)


@pytest.mark.parametrize("name", ["train", "shards"])
def test_a_signal_is_caught_before_anything_that_takes_time(name: str) -> None:
    commands = [
        line for line in (FOLDER / f"{name}.sbatch").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert commands[1].startswith("trap ") and commands[1].endswith(" USR1")


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.suffix == ".sbatch"], ids=lambda path: path.name)
def test_it_says_how_it_is_used(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", str(script)], capture_output=True, text=True, env={"SLURM_SUBMIT_DIR": str(FOLDER.parent)}
    )
    assert done.returncode == 2
    assert f"slurm/{script.name}" in done.stderr
    assert "usage: sbatch" in done.stderr
