"""A stop signal is acknowledged at once, ends the work between rounds, and a second Ctrl-C ends it now."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.signals import STOP_SIGNALS, StopFlag


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
    assert capfd.readouterr().err == "stopping after this round; Ctrl-C again ends at once\n"


@pytest.mark.parametrize(("local_rank", "told"), [("0", "stopping after this round\n"), ("1", "")])
def test_of_the_processes_of_a_machine_one_acknowledges_and_promises_no_second_interrupt(
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


def test_what_a_launcher_sends_when_one_of_several_has_failed_does_not_cut_off_the_last_words_of_another() -> None:
    program = (
        "import os, signal, sys\nfrom launcher.signals import StopFlag\n"
        "try:\n    with StopFlag():\n        raise ValueError\n"
        "except ValueError:\n    os.kill(os.getpid(), signal.SIGTERM)\n    print('what went wrong')\n    sys.exit(3)"
    )

    def ended(world: str) -> tuple[int, str]:
        environment = os.environ | {"WORLD_SIZE": world, "LOCAL_RANK": "1"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=environment
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
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert result.stdout == "True\n"
