"""A command run for the user: signals reach it once, and nothing of it stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from launcher.child import run_child

ROOT = Path(__file__).parents[3]
COUNTS = """
import signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: got.append(number))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.3)
print(*got, flush=True)
sys.exit(75)
"""
IGNORES = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print("ready", child.pid, flush=True)
time.sleep(60)
"""


def parent_of(program: str) -> "subprocess.Popen[str]":
    """A process that runs `program` by `run_child`, in a session of its own as under a terminal."""
    runs = f"run_child([sys.executable, '-c', {program!r}], os.environ)"
    runs = f"import os, sys; from launcher.child import run_child; sys.exit({runs})"
    python = [sys.executable, "-c", runs]
    return subprocess.Popen(python, cwd=ROOT, text=True, stdout=subprocess.PIPE, start_new_session=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_terminals_signal_reaches_the_command_once(name: str) -> None:
    with parent_of(COUNTS) as process:
        assert first_line(process) == "ready\n"
        os.killpg(process.pid, signal.Signals[name])
        output, _ = process.communicate(timeout=20)
    assert output.split() == [str(int(signal.Signals[name]))]
    assert process.returncode == 75


def test_a_second_interrupt_kills_the_command_and_what_it_has_started() -> None:
    with parent_of(IGNORES) as process:
        grandchild = int(first_line(process).split()[1])
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 128 + signal.SIGKILL
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("program", "status"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_the_status_of_the_command_comes_back_and_signals_are_as_before(program: str, status: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run_child([sys.executable, "-c", program], os.environ) == status
    assert signal.getsignal(signal.SIGINT) is before


def test_a_command_that_cannot_be_started_leaves_signals_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(FileNotFoundError):
        run_child(["/nowhere/command"], os.environ)
    assert signal.getsignal(signal.SIGTERM) is before
