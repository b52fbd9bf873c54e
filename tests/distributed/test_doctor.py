"""`mms-dist doctor` on several processes, as `srun` starts them: they meet, compare, and one of them reports."""

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher import cli
from launcher.doctor import network_checks
from launcher.doctor.checks import versions
from launcher.slurm.environment import FIRST_PORT, PORTS
from tests.corpus import build_toy_shards
from tests.distributed.ranks import Ended, run_ranks
from tests.distributed.worker import Notes
from tests.doctoring import written_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    return written_config(folder, small_base, build_toy_shards(folder, languages=2, train=5, dev=2))


def visit(notes: Notes) -> int:
    """A task of `srun`: what SLURM says in place of a launcher, on a machine of its own by name."""
    rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del os.environ[name]
    os.environ |= {
        "SLURM_JOB_ID": str(notes["job"]),
        "SLURM_JOB_NUM_NODES": world,
        "SLURM_JOB_NODELIST": f"node[0-{int(world) - 1}]",
        "SLURM_NODEID": rank,
        "SLURM_PROCID": rank,
        "SLURM_LOCALID": "0",
        "SLURM_STEP_NUM_TASKS": str(notes.get("tasks", world)),
        "SLURM_STEP_NODELIST": "localhost",
    }
    socket.gethostname = lambda: f"node{rank}"
    if rank == "1":
        for oddity in notes.get("oddities", []):
            globals()[oddity]()
    return cli.main(["doctor", notes["config"], "--json", "--timeout-seconds", "4", *notes.get("flags", [])])


def with_another_version() -> None:
    real = versions.installed
    versions.installed = lambda name: "2.10.9" if name == "torch" else real(name)  # type: ignore[assignment]


def on_another_disk() -> None:
    def absent(*_: Any) -> Iterator[None]:
        raise FileNotFoundError(2, "No such file or directory")

    network_checks.open = absent  # type: ignore[attr-defined]


def without_locks() -> None:
    network_checks.fcntl = SimpleNamespace(flock=lambda *_: None, LOCK_EX=0, LOCK_NB=0)  # type: ignore[attr-defined]


def with_a_fast_clock() -> None:
    clock = SimpleNamespace(time=lambda: time.time() + 30, perf_counter=time.perf_counter)
    network_checks.time = clock  # type: ignore[attr-defined]


def stuck() -> None:
    network_checks.bind_rank = lambda *_: time.sleep(60)  # type: ignore[assignment]


@dataclass(frozen=True)
class Told:
    """What one of the processes printed."""

    findings: list[dict[str, Any]]
    hosts: list[str]

    def of(self, check: str, status: str) -> list[dict[str, Any]]:
        return [each for each in self.findings if (each["check"], each["status"]) == (check, status)]

    @property
    def failed(self) -> list[str]:
        return [each["check"] for each in self.findings if each["status"] == "failed"]


def doctor(config: Path, *, world: int = 2, expect: int, **notes: Any) -> tuple[Ended, Told]:
    given = {"config": str(config), "job": free_job(), **notes}
    ended = run_ranks(world, "tests.distributed.test_doctor:visit", given, expect=expect)
    first = ended.logs[0]
    report = json.loads(first[first.index("{") : first.rindex("}") + 1])
    return ended, Told(report["findings"], report["hosts"])


def free_job() -> int:
    """A job whose port nobody has."""
    for job in range(os.getpid(), os.getpid() + PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", FIRST_PORT + job % PORTS))
            except OSError:
                continue
            return job
    raise AssertionError("no port is free")


def test_machines_that_agree_are_reported_once_by_the_first(config: Path) -> None:
    ended, told = doctor(config, expect=0)
    assert told.failed == []
    assert told.hosts == ["node0", "node1"]
    assert all(each["hosts"] == [] for each in told.findings)
    (machines,) = told.of("machines", "ok")
    for name in ("2 processes agree on", "torch", "mms-dist", "base", "shards", "configuration"):
        assert name in machines["found"]
    (network,) = told.of("network", "ok")
    assert "2 processes: connected in" in network["found"]
    assert "gloo sums 4 MiB" in network["found"]
    assert len(told.of("shared disk", "ok")) == len(told.of("clocks", "ok")) == 1
    assert ended.logs[1].strip() == ""
    assert sorted(path.name for path in config.parent.iterdir()) == ["audio", "config.yaml", "manifest.tsv", "shards"]


def test_a_machine_with_other_software_disk_and_time_is_named_for_each(config: Path) -> None:
    oddities = ["with_another_version", "on_another_disk", "with_a_fast_clock"]
    _, told = doctor(config, expect=1, oddities=oddities)
    assert told.failed == ["versions", "shared disk", "machines"]
    (version,) = told.of("versions", "failed")
    assert version["hosts"] == ["node1"]
    assert "torch 2.10.9, expected" in version["found"]
    assert told.of("versions", "ok")[0]["hosts"] == ["node0"]
    (machines,) = told.of("machines", "failed")
    assert machines["found"].startswith(f"torch differs: {metadata.version('torch')}")
    assert machines["found"].endswith("2.10.9 on node1")
    (disk,) = told.of("shared disk", "failed")
    assert disk["hosts"] == ["node1"]
    assert "is not visible here" in disk["found"]
    (clock,) = told.of("clocks", "warning")
    assert "clocks differ by 30" in clock["found"]
    assert "rank 1 is ahead" in clock["found"]


def test_locks_that_other_machines_do_not_respect_are_found(config: Path) -> None:
    _, told = doctor(config, expect=1, oddities=["without_locks"])
    assert told.failed == ["shared disk"]
    (finding,) = told.of("shared disk", "failed")
    assert finding["hosts"] == ["node1"]
    assert "that another machine has locked" in finding["found"]


def test_a_process_that_does_not_come_is_named(config: Path) -> None:
    ended, told = doctor(config, world=1, expect=1, tasks=3)
    assert told.failed == ["network"]
    assert "2 of 3 processes have not reported within 4 s: rank 1, 2" in told.of("network", "failed")[0]["found"]
    assert ended.seconds < 40


def test_a_process_that_hangs_in_the_network_is_named_and_all_end(config: Path) -> None:
    ended, told = doctor(config, expect=1, oddities=["stuck"])
    assert told.failed == ["network"]
    finding = told.of("network", "failed")[0]
    assert "rank 1" in finding["found"]
    assert "GLOO_SOCKET_IFNAME" in finding["fix"]
    assert ended.seconds < 40


def test_every_process_of_a_real_launcher_ends_with_the_same_status(config: Path) -> None:
    """As `accelerate launch -m launcher doctor …` starts it, with `RANK` and `WORLD_SIZE`."""
    notes = {"arguments": ["doctor", str(config), "--comm.processes", "3", "--timeout-seconds", "10"]}
    ended = run_ranks(2, "tests.distributed.test_doctor:command", notes, expect=1)
    assert "2 processes on 1 machine, but comm.processes is 3" in " ".join(ended.logs[0].split())
    assert "1 to fix" in ended.logs[0]
    assert ended.logs[1].strip() == ""


def command(notes: Notes) -> int:
    return cli.main(notes["arguments"])
