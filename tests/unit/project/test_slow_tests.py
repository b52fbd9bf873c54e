"""Tests that take more than a minute are left out unless they are asked for, and the summary names them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_slow_test_is_skipped_and_named_with_the_command_that_runs_it() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/slurm/test_power_cut.py"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 skipped" in ended.stdout
    (told,) = [line for line in ended.stdout.splitlines() if line.startswith("SKIPPED")]
    assert "test_a_job_survives_that_each_of_its_machines_loses_power takes more than a minute" in told
    assert "`make test-all` or `pytest --slow` runs it" in told


def test_make_test_all_runs_the_slow_tests() -> None:
    assert "\ntest-all: check\n\t$(PYTEST) --slow\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
