"""A stop signal is acknowledged immediately, ends the work between rounds, and a second Ctrl-C ends it now."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launcher import signals
from launcher.signals import STOP_SIGNALS, StopFlag
from mms_dist.errors import StoppedEarly


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_acknowledged_once_and_sets_the_flag(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with StopFlag() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(number) == before
    assert capfd.readouterr().err == "stopping after this round; press Ctrl-C again to end immediately\n"


@pytest.mark.parametrize(("local_rank", "told"), [("0", "stopping after this round\n"), ("1", "")])
def test_one_process_a_machine_acknowledges_a_stop(
    local_rank: str, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capfd.readouterr().err == told


def test_a_launchers_signal_does_not_cut_off_another_ranks_output() -> None:
    program = (
        "import os, signal, sys\nfrom launcher.signals import StopFlag\n"
        "try:\n    with StopFlag():\n        raise ValueError\n"
        "except ValueError:\n    os.kill(os.getpid(), signal.SIGTERM)\n    print('what went wrong')\n    sys.exit(3)"
    )

    def ended(world: str) -> tuple[int, str]:
        environment = os.environ | {"WORLD_SIZE": world, "LOCAL_RANK": "1"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3], env=environment
        )
        return done.returncode, done.stdout

    assert ended(world="2") == (3, "what went wrong\n")
    assert ended(world="1") == (-signal.SIGTERM, "")


def test_a_second_interrupt_ends_at_once() -> None:
    with StopFlag(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_closed_standard_error_does_not_keep_a_run_from_stopping() -> None:
    program = (
        "import os, signal\nfrom launcher.signals import StopFlag\n"
        "os.close(2)\n"
        "with StopFlag() as stop:\n    os.kill(os.getpid(), signal.SIGTERM)\n    print(stop.is_set())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert result.stdout == "True\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundredths in place of seconds."""
    for name in ("WAITING_SECONDS", "UNWINDING_SECONDS", "INTERRUPTED_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(signals, name, 0.05)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_before_the_first_round_a_wait_is_ended_by_an_exception(number: signal.Signals, quick: None) -> None:
    left: list[int] = []
    with StopFlag(left.append, leave=left.append), pytest.raises(StoppedEarly):
        os.kill(os.getpid(), number)
        time.sleep(30)
    assert left == []


def test_work_before_the_first_round_may_come_to_an_end_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "WAITING_SECONDS", 0.6)  # another process may take the processor for some time
    left: list[int] = []
    with StopFlag(left.append, leave=left.append) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.thread_time() + 1.0
        while time.thread_time() < until:
            sum(range(1000))
        assert stop.is_set() and left == []


def test_work_before_the_first_round_is_ended_when_it_takes_long(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.setattr(signals, "WAITING_SECONDS", 60.0)
    monkeypatch.setattr(signals, "IN_ORDER_SECONDS", 0.2)
    with StopFlag(lambda status: None), pytest.raises(StoppedEarly):
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            sum(range(1000))


def test_within_rounds_a_signal_waits_for_their_end(quick: None) -> None:
    left: list[int] = []
    with StopFlag(left.append, leave=left.append) as stop:
        stop.first_round()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
    assert stop.is_set() and left == []


BLOCKED = """
import ctypes, os, signal, sys, threading, time
from launcher import signals

signals.WAITING_SECONDS = signals.UNWINDING_SECONDS = signals.INTERRUPTED_SECONDS = signals.LOOK_SECONDS = 0.1

def send():
    time.sleep(0.2)
    for name in sys.argv[2:]:
        os.kill(os.getpid(), signal.Signals[name])
        time.sleep(0.3)

with signals.StopFlag(lambda status: print("ends with", status, flush=True)) as stop:
    if sys.argv[1] == "rounds":
        stop.first_round()
    threading.Thread(target=send, daemon=True).start()
    lock = ctypes.create_string_buffer(256)
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)  # for ever, and no handler of Python's runs in there
"""


@pytest.mark.parametrize(
    ("phase", "sent", "status"),
    [
        ("start", ["SIGTERM"], 75),
        ("start", ["SIGUSR1"], 75),
        ("start", ["SIGINT"], 75),
        ("rounds", ["SIGINT", "SIGINT"], 130),
        ("rounds", ["SIGTERM", "SIGINT"], 130),
    ],
)
def test_a_call_that_never_returns_does_not_block_a_signal(phase: str, sent: list[str], status: int) -> None:
    command = [sys.executable, "-c", BLOCKED, phase, *sent]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, f"ends with {status}\n"), done.stderr
    assert done.stderr.startswith("stopping after this round"), "told at once, and not when the call returns"


def test_what_is_done_at_an_early_end_cannot_keep_the_process(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.setattr(signals, "ENDING_SECONDS", 0.05)
    left = threading.Event()
    stuck = threading.Event()
    flag = StopFlag(lambda status: (stuck.wait(30), None)[1], leave=lambda status: left.set())
    with flag, pytest.raises(StoppedEarly):
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            time.sleep(30)
        finally:
            assert left.wait(10), "the unwinding takes too long"
    stuck.set()
