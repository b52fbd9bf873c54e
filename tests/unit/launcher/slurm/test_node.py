"""The launcher of one machine under srun: signals reach the training processes, each once it is ready."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.slurm.environment import FIRST_PORT, PORTS, ClusterPlace
from launcher.slurm.node import launch_command, launch_environment
from launcher.slurm.requeue import Action, decide
from tests.launch_configs import start_of

LAUNCHER = """\
# A launcher with two training processes, one of which is slow to get ready, and has a child of its own.
import os, subprocess, sys
rank = '''
import os, signal, subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
time.sleep(float(sys.argv[1]))
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
open(sys.argv[2], "w").close()
deadline = time.monotonic() + 120
while not got and time.monotonic() < deadline: time.sleep(0.01)
time.sleep(0.5)
print("rank", os.environ["LOCAL_RANK"], "got", len(got), "helper", helper.poll(), flush=True)
helper.kill()
'''
ranks = [
    subprocess.Popen([sys.executable, "-c", rank, wait, sys.argv[1] + wait], env=os.environ | {"LOCAL_RANK": str(n)})
    for n, wait in enumerate(["0", "1.5"])
]
for each in ranks: each.wait()
"""

NODE = """\
import signal, sys, time
from launcher.slurm.node import BLOCKED_SIGNALS, Launcher
signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
print("blocked", flush=True)
time.sleep(0.3)
sys.exit(Launcher([sys.executable, *sys.argv[1:]], __import__("os").environ).wait())
"""


@contextlib.contextmanager
def node_of_two_ranks(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """What srun starts, once it keeps signals, above a launcher whose second rank is slow to be ready for one."""
    (folder / "launcher.py").write_text(LAUNCHER)
    with subprocess.Popen(
        [sys.executable, "-c", NODE, str(folder / "launcher.py"), str(folder / "ready")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "blocked\n"
        yield process


@pytest.mark.parametrize("to_all", [False, True], ids=["to srun's child only", "to every process there is"])
@pytest.mark.parametrize("early", [True, False])
def test_every_training_process_is_told_once_it_is_ready(tmp_path: Path, early: bool, to_all: bool) -> None:
    with node_of_two_ranks(tmp_path) as process:
        deadline = time.monotonic() + 120
        while not early and not (tmp_path / "ready0").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if to_all:
            os.killpg(process.pid, signal.SIGUSR1)
        else:
            process.send_signal(signal.SIGUSR1)
        out, _ = process.communicate(timeout=150)
    assert process.returncode == 0
    lines = dict(line.split(" got ") for line in out.splitlines())
    assert set(lines) == {"rank 0", "rank 1"}
    assert all(int(line.split()[0]) >= 1 for line in lines.values()), out
    assert all(line.endswith("helper None") for line in lines.values()), "a child of a rank's does not hear of it"


def test_the_launcher_waits_for_ranks_that_save_after_many_sigterms(tmp_path: Path) -> None:
    with node_of_two_ranks(tmp_path) as process:
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        out, _ = process.communicate(timeout=150)
    assert process.returncode == 0
    assert sorted(line.split(" got ")[0] for line in out.splitlines()) == ["rank 0", "rank 1"]


def test_the_exit_status_of_a_launcher_is_known_whatever_ends_it() -> None:
    code = textwrap.dedent("""\
        import signal, sys
        from launcher.slurm.node import BLOCKED_SIGNALS, Launcher
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        for end in ("sys.exit(7)", "os.kill(os.getpid(), 9)"):
            print(Launcher([sys.executable, "-c", "import os, sys; " + end], {}).wait())
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150)
    assert done.stdout.split() == ["7", "137"], done.stderr


@pytest.mark.parametrize("machines", [1, 2, 64])
def test_accelerate_starts_the_processes_of_the_whole_job(machines: int) -> None:
    place = ClusterPlace(7, tuple(f"n{n}" for n in range(machines)), machines - 1, 4, 0)
    command = launch_command(place, ["--config", "c.yaml"], cpus=16, module="launcher.slurm.rank", logs="logs")
    start = start_of(["accelerate", "launch", *command[command.index("launch") + 1 :]])
    assert start.processes == machines * 4
    assert start.environment["OMP_NUM_THREADS"] == "4"
    assert start.agent.training_script_args == ["--config", "c.yaml"]
    if machines > 1:
        assert start.agent.rdzv_backend == "c10d"
        assert "is_host=false" in start.agent.rdzv_conf
        assert start.agent.rdzv_endpoint == f"n0:{place.port}"


def test_a_taken_port_ends_the_launcher_and_the_next_start_differs() -> None:
    """The machines would else wait for each other, or meet at somebody else's."""
    with contextlib.ExitStack() as stack:
        place = _place_with_a_taken_port(stack)
        environment = launch_environment(os.environ, place)
        command = launch_command(place, [], cpus=1, module="this", logs="logs")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert f"port `{place.port}`, but another process is utilizing it" in done.stderr
    assert decide(None, warned=False, refusal=None, restarts_without_step=0, allowed=3).action is Action.REQUEUE
    ports = [replace(place, restarts=restarts).port for restarts in range(20)]
    assert len(set(ports)) == len(ports)
    assert all(FIRST_PORT <= port < FIRST_PORT + PORTS for port in ports)


def _place_with_a_taken_port(stack: contextlib.ExitStack) -> ClusterPlace:
    """The first of two machines, on which someone listens where they are to meet."""
    for job in range(4000, 4100):
        place = ClusterPlace(job, ("localhost", "elsewhere"), 0, 2, 0)
        with contextlib.suppress(OSError):
            six = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if six else socket.AF_INET
            stack.enter_context(socket.create_server(("", place.port), family=family, dualstack_ipv6=six))
            return place
    raise AssertionError("a hundred ports were taken already")


def test_the_launcher_itself_does_not_listen_to_what_is_meant_for_training() -> None:
    place = ClusterPlace(7, ("n0", "n1"), 1, 4, 0)
    environment = launch_environment({}, place)
    assert "SIGUSR1" not in environment["PET_SIGNALS_TO_HANDLE"]
    assert environment["PET_LOCAL_ADDR"] == "n1", "ranks meet at the names that SLURM gives"
