"""The exit status of a process is its own, whatever has become of its output."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REFUSED = [sys.executable, "-m", "launcher", "train", "--config", "/nowhere.yaml"]


def test_a_closed_standard_output_does_not_take_the_place_of_a_failure() -> None:
    command = ["bash", "-c", 'exec "$@" >&-', "bash", *REFUSED]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("status", [1, 75, 130])
def test_a_reader_that_has_gone_does_not_take_the_place_of_a_failure(status: int) -> None:
    program = (
        "import os, sys\nfrom launcher.process_exit import exit_process\n"
        "reader, writer = os.pipe()\nos.dup2(writer, 1)\nos.close(reader)\nos.close(writer)\n"
        f"sys.stdout = os.fdopen(1, 'w')\nsys.stdout.write('unread')\nexit_process({status})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (status, "")
