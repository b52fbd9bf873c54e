"""The shell scripts: free of what bash and shellcheck complain of, and with what a restartable job needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[4] / "slurm"
SCRIPTS = sorted([*FOLDER.glob("*.sbatch"), *FOLDER.glob("*.sh")])
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_it(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run([SHELLCHECK, *SCRIPTS], capture_output=True, text=True, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["train", "shards", "transcribe"])
def test_a_job_that_can_go_on_is_requeued_warned_and_keeps_its_log(name: str) -> None:
    lines = (FOLDER / f"{name}.sbatch").read_text().splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert {"--requeue", "--open-mode=append"} <= options
    assert any(option.startswith("--signal=B:USR1@") for option in options)


@pytest.mark.parametrize("name", ["train", "shards", "transcribe"])
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


def test_what_the_sites_file_says_to_unset_leaves_no_gpu_to_ask_for() -> None:
    """Before all but training by sbatch itself, which takes its options from the environment."""
    (line,) = re.findall(r"`(unset .*)`", (FOLDER / "site.sh").read_text())
    of_gpus = ("GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK", "CPUS_PER_GPU", "MEM_PER_GPU", "GPU_BIND", "GRES")
    given = {f"SBATCH_{name}": "gpu:8" for name in of_gpus} | {"SBATCH_PARTITION": "gpu", "SBATCH_GRES_FLAGS": "x"}
    code = f"set -euo pipefail\n{line}\ncompgen -e SBATCH_"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"} | given)
    assert done.stdout.split() == ["SBATCH_PARTITION"], done.stderr


def bash(code: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Some lines of bash after the library, with stand-ins in `folder` for SLURM's commands."""
    stands = {
        "squeue": '[[ -n $STATE ]] || exit 1; echo "$STATE"',
        "scontrol": f'echo "$*" >> {folder}/asked',
        "sleep": f'[[ $1 == 120 ]] || exec {shutil.which("sleep")} "$@"',
    }
    for name, body in stands.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    given = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "9", "STATE": ""} | environment
    script = f"set -euo pipefail\nsource {FOLDER}/lib.sh\n{code}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=given, timeout=150)


@pytest.mark.parametrize(
    ("state", "requeued", "exit_code"),
    [
        ("RUNNING None", True, 0),
        ("COMPLETING TimeLimit", True, 75),  # its time was over before it had saved; it is requeued once it has ended
        ("COMPLETING None", False, 75),  # cancelled, or SLURM itself requeues it
        ("", True, 0),  # squeue does not answer
    ],
)
def test_a_job_that_slurm_is_ending_is_left_alone(tmp_path: Path, state: str, requeued: bool, exit_code: int) -> None:
    done = bash("requeue", tmp_path, STATE=state)
    assert (tmp_path / "asked").exists() == requeued
    assert done.returncode == exit_code


def test_a_step_is_asked_for_with_all_that_the_job_has(tmp_path: Path) -> None:
    """srun takes SLURM's variables for its options; some of them would leave most of a machine out."""
    (tmp_path / "srun").write_text("#!/bin/bash\nenv\n")
    (tmp_path / "srun").chmod(0o755)
    leave_out = {"SLURM_EXCLUSIVE": "exclusive", "SLURM_EXACT": "1", "SLURM_CPUS_PER_TASK": "2"}
    leave_out |= {"SLURM_GPUS_PER_TASK": "1", "SLURM_TRES_PER_TASK": "cpu=2", "SLURM_NTASKS_PER_GPU": "1"}
    stay = {"SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_PER_NODE": "8"}
    done = bash("IN_CONTAINER=(); on_every_machine true", tmp_path, **leave_out, **stay)
    assert done.returncode == 0, done.stderr
    found = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert stay.keys() <= found
    assert not leave_out.keys() & found


def test_a_task_of_an_array_is_requeued_alone(tmp_path: Path) -> None:
    bash("requeue", tmp_path, STATE="RUNNING None", SLURM_ARRAY_JOB_ID="9", SLURM_ARRAY_TASK_ID="3")
    assert (tmp_path / "asked").read_text() == "requeue 9_3\n"


def test_what_was_stopped_by_its_time_is_requeued_but_not_for_ever(tmp_path: Path) -> None:
    bash("warned=5 child_status=143; end_or_requeue", tmp_path, STATE="RUNNING None", SLURM_RESTART_COUNT="19")
    assert (tmp_path / "asked").exists()
    done = bash("warned=5 child_status=143; end_or_requeue", tmp_path, STATE="RUNNING None", SLURM_RESTART_COUNT="20")
    assert done.returncode == 143
    assert bash("child_status=1; end_or_requeue", tmp_path).returncode == 1
    assert (tmp_path / "asked").read_text().count("requeue") == 1


@pytest.mark.parametrize("when", ["warned=0", "(sleep 0.5; kill -USR1 $$) &"], ids=["before", "while it runs"])
def test_a_warning_reaches_the_child_once_it_is_ready(tmp_path: Path, when: str) -> None:
    child = "import signal, sys, time; time.sleep(1); signal.signal(10, lambda *_: sys.exit(5)); time.sleep(120)"
    done = bash(f"{when}\n{sys.executable} -c '{child}' &\nchild=$!\nwait_for_child USR1; exit $child_status", tmp_path)
    assert done.returncode == 5, done.stderr
