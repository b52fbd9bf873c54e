"""A real SLURM cluster on this machine: munge, a controller and a few nodes, each in namespaces of its own.

A node has its own host name and its own processes, so that switching it off ends them all. Up in about two seconds,
gone in one; nothing of it outlives the `with` block, nor this process.
"""

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "unshare")
PACKAGE = "slurm-wlm"
FREEZER = Path("/sys/fs/cgroup/freezer")
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED")
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 240.0
"""However busy this machine is with other things."""

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=ctl(127.0.0.1)
SlurmctldPort={port}
FirstJobId={first_job}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=1
KillWait=60
SlurmdTimeout=10
MessageTimeout=10
TCPTimeout=2
BatchStartTimeout=10
UnkillableStepTimeout=20
{nodes}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=cancelling Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=60
PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""
CGROUPS = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n"


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Cluster:
    """SLURM at work, from `with` to its end."""

    def __init__(self, nodes: int = 2, proctrack: str = "linuxproc") -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # munge refuses folders that only root sees
        tag = "n" + secrets.token_hex(2)  # clusters that run beside this one have the same control groups
        self.nodes = [f"{tag}x{number}" for number in range(1, nodes + 1)]
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}
        self._write_files(proctrack)

    # -- jobs -----------------------------------------------------------------------------------------------------

    def submit(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """`sbatch …`; the job's number."""
        return self.run("sbatch", "--parsable", *words, environment=environment)

    def job(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "--oneliner", "show", "job", job)))

    def restarts(self, job: str) -> int:
        return int(self.job(job)["Restarts"])

    def wait_for_requeue(self, job: str, restarts: int, *, hurry: bool = True) -> None:
        """Until the job has been put back into the queue so many times; then let it start without the usual pause."""

        def requeued() -> bool:
            found = self.job(job)
            assert found["JobState"] not in ENDED, self.told(job)
            return int(found["Restarts"]) >= restarts

        self.wait_until(requeued, job)
        if hurry:
            self.hurry(job)

    def hurry(self, job: str) -> None:
        """SLURM lets a requeued job wait until its old credentials have expired. Two seconds will do: machines refuse
        those that are not younger than the job's last end there. But SLURM may still have to tell a machine that was
        off of that end, which would end the start that follows as well."""
        self.wait_until(lambda: self.job(job)["JobState"] != "COMPLETING", job)
        time.sleep(2.0)
        if self.job(job)["JobState"] == "PENDING":
            self.try_run("scontrol", "hold", job)
            self.wait_until(self.has_told_all, job)
            self.try_run("scontrol", "release", job)

        def may_start() -> bool:
            found = self.job(job)
            if found["JobState"] == "PENDING":
                subprocess.run(
                    ["scontrol", "update", f"JobId={job}", "StartTime=now"], env=self.environment, capture_output=True
                )
            return found["JobState"] in ("RUNNING", *ENDED)

        self.wait_until(may_start, job)

    def has_told_all(self) -> bool:
        """Whether SLURM has nothing on its way to a machine, nor to try again."""
        counts = re.findall(r"^Agent (?:queue size|count|thread count):\s*(\d+)", self.run("sdiag"), re.MULTILINE)
        assert counts, "sdiag says nothing of agents"
        return not any(map(int, counts))

    def wait_for_end(self, job: str) -> dict[str, str]:
        """Until the job is over for good: what `scontrol show job` says then."""
        self.wait_until(lambda: self.job(job)["JobState"] in ENDED, job)
        return self.job(job)

    def wait_until(self, what: Callable[[], bool], job: str = "") -> None:
        """Until `what()` is true.

        Raises:
            AssertionError: it is not, for minutes; with all that is known of the job.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, f"not within {_PATIENCE_SECONDS:g} s\n{self.told(job) if job else ''}"
            time.sleep(_POLL_SECONDS)

    def told(self, job: str) -> str:
        """The job as SLURM sees it, and its log."""
        found = self.job(job)
        log = Path(found.get("StdOut", ""))
        text = log.read_text(errors="replace") if log.is_file() else "no log"
        return "\n".join([*(f"{name}={value}" for name, value in found.items()), text])

    def processes(self, job: str, **environment: str) -> list[psutil.Process]:
        """Processes of a job that have these variables, on any node."""
        wanted = {"SLURM_JOB_ID": job, "SLURM_CONF": self.environment["SLURM_CONF"]} | environment
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                has = process.environ()
                if all(has.get(name) == value for name, value in wanted.items()):
                    found.append(process)
        return found

    def ranks(self, job: str) -> dict[int, psutil.Process]:
        """The training processes that are ready for a signal, by rank."""
        found = {}
        for process in self.processes(job):
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                if (
                    "RANK" in process.environ()
                    and parent is not None
                    and "RANK" not in parent.environ()
                    and has_signal(process.pid, signal.SIGUSR1, "SigCgt")
                ):
                    found[int(process.environ()["RANK"])] = process
        return found

    # -- nodes ----------------------------------------------------------------------------------------------------

    def switch_on(self, number: int) -> None:
        """Boot node `number`, from 0."""
        name = self.nodes[number]
        (self.folder / "spool" / name).mkdir(exist_ok=True)
        boot = f"slurmd -D -N {name} & while :; do wait; sleep 0.2; done"  # the first process adopts orphans
        own = ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._spawn(name, [*("unshare", *own, "bash", "-c"), f"{self._named(name)}; {boot}"])

    def switch_off(self, number: int) -> None:
        """Cut the power of node `number`: slurmd and everything that it has started is gone at once."""
        process = self._processes.pop(self.nodes[number])
        process.kill()
        process.wait()

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """The output of one of SLURM's commands.

        Raises:
            AssertionError: it fails.
        """
        done = self.try_run(*command, environment=environment)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def try_run(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """The same, however it ends."""
        return subprocess.run(
            command, env=self.environment | dict(environment or {}), capture_output=True, text=True, timeout=120
        )

    # -- up and down ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            run = self.folder / "run"
            key = self.folder / "etc" / "munge.key"
            files = {"key-file": key, "socket": run / "munge.sock", "pid-file": run / "munged.pid"}
            files |= {"log-file": self.folder / "log" / "munged.log", "seed-file": run / "seed"}
            self._spawn("munged", ["munged", "--foreground", *(f"--{name}={path}" for name, path in files.items())])
            self.wait_until((run / "munge.sock").exists)
            self._spawn(
                "slurmctld",
                ["unshare", "--mount", "--uts", "bash", "-c", f"{self._named('ctl')}; exec slurmctld -D -i"],
            )
            for number in range(len(self.nodes)):
                self.switch_on(number)
            self.wait_until(self.is_idle)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def is_idle(self) -> bool:
        """Whether all nodes are up and have nothing to do."""
        done = subprocess.run(
            ["sinfo", "-hN", "-p", "all", "-o", "%t"], env=self.environment, capture_output=True, text=True
        )
        return done.stdout.split() == ["idle"] * len(self.nodes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        last = {"slurmctld": 1, "munged": 2}
        for name in sorted(self._processes, key=lambda name: last.get(name, 0)):
            self._processes[name].kill()
            self._processes[name].wait()
        self._processes.clear()
        for path in self._control_groups():
            with contextlib.suppress(OSError):
                path.rmdir()
        shutil.rmtree(self.folder)
        self._mark.close()

    def _control_groups(self) -> Iterator[Path]:
        for node in self.nodes:
            for below in ("uid_*/job_*/step_*", "uid_*/job_*", "uid_*", "."):
                yield from (FREEZER / f"slurm_{node}").glob(below) if below != "." else [FREEZER / f"slurm_{node}"]

    def _write_files(self, proctrack: str) -> None:
        for name in ("etc", "run", "log", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "etc" / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        hosts = [f"127.0.0.1 localhost ctl {socket.gethostname()}"]
        lines = []
        for number, name in enumerate(self.nodes):
            address = f"127.0.0.{11 + number}"
            hosts.append(f"{address} {name}")
            lines.append(f"NodeName={name} NodeAddr={address} Port={_free_port()} CPUs=2 RealMemory=2000")
        (self.folder / "etc" / "hosts").write_text("\n".join(hosts) + "\n")
        first_job, self._mark = _first_job()
        values = {
            "folder": self.folder,
            "port": _free_port(),
            "first_job": first_job,
            "proctrack": proctrack,
            "nodes": "\n".join(lines),
        }
        (self.folder / "etc" / "slurm.conf").write_text(CONFIGURATION.format(**values))
        if proctrack == "cgroup":
            (self.folder / "etc" / "cgroup.conf").write_text(CGROUPS)

    def _named(self, name: str) -> str:
        """Bash that gives a machine its name, and the addresses of the others."""
        return f"set -e; hostname {name}; mount --bind {self.folder}/etc/hosts /etc/hosts"

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_this_process,
            )


def _die_with_this_process() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def has_signal(pid: int, number: int, what: str) -> bool:
    """Whether a process catches a signal (`SigCgt`), or has yet to be told of it (`ShdPnd`); see proc(5)."""
    with contextlib.suppress(OSError):
        mask = re.search(rf"^{what}:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return bool(mask and int(mask[1], 16) >> (number - 1) & 1)
    return False


def _first_job() -> tuple[int, socket.socket]:
    """A hundred of numbers of jobs, as long as the socket is open. Clusters share this machine's ports, and jobs take
    theirs by their numbers."""
    hundreds = list(range(1, 190))
    secrets.SystemRandom().shuffle(hundreds)
    for hundred in hundreds:
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0mms-dist-tests-jobs-{hundred}")  # in no folder: it goes with this process
        except OSError:
            mark.close()
            continue
        return 100 * hundred, mark
    raise AssertionError("all numbers of jobs are taken, by too many clusters")


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
