"""Find this machine's place in a SLURM job from SLURM's environment variables alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mms_dist.errors import ConfigError

FIRST_PORT, PORTS = 12_000, 20_000
"""Rendezvous ports, below the range that the kernel uses for outgoing connections (32,768 and up on Linux)."""
PORTS_FURTHER = 7_919

TASKS_PER_NODE = "MMS_DIST_TASKS_PER_NODE"
"""Set by the batch script for its steps: the job's `--ntasks-per-node`."""
GPUS_ON_NODE = "MMS_DIST_GPUS_ON_NODE"
"""Set by the batch script for its steps: the job's GPUs on the first machine, requested or not."""

_BRACKETS = re.compile(r"\[([^\]]*)\]")
GPU_RESOURCE = re.compile(r"(?:gres[:/])?gpu(?::(?P<kind>[^:,()]*[^\d:,()][^:,()]*))?(?::(?P<count>\d+))?(?:\(.*\))?")
"""One entry of a `--gres` list that names GPUs."""
_COUNT = re.compile(r"(?:[^:,()]+:)*(\d+)")


@dataclass(frozen=True)
class ClusterPlace:
    """A job's machines and processes, and this machine's place among them."""

    job: int
    hosts: tuple[str, ...]
    """Names of the job's machines, in SLURM's order."""
    machine: int
    """This machine's index in `hosts`; 0 in the batch script, which runs on the first."""
    processes_per_machine: int
    restarts: int
    """How many times SLURM has restarted this job."""
    unused_gpus: int = 0
    """GPUs of an exclusive machine (`--exclusive`) that the job did not request: SLURM hides them from its tasks."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ClusterPlace":
        """
        Raises:
            ConfigError: this is not a SLURM job, it is a heterogeneous job, or a variable cannot be parsed.
        """
        if environment.get("SLURM_HET_SIZE", "1") != "1":
            raise ConfigError(
                f"this is a heterogeneous job of {environment['SLURM_HET_SIZE']} components, and each component only "
                "knows its own machines",
                fix="request one kind of machine (--constraint), or train on each kind in a separate job",
            )
        job = _number(environment, "SLURM_JOB_ID")
        hosts = tuple(expand_hosts(_text(environment, "SLURM_JOB_NODELIST")))
        machines = _number(environment, "SLURM_JOB_NUM_NODES", len(hosts))
        if machines != len(hosts):
            raise ConfigError(
                f"SLURM_JOB_NUM_NODES is {machines}, but SLURM_JOB_NODELIST names {len(hosts)}: "
                f"{environment['SLURM_JOB_NODELIST']}",
                fix="do not change SLURM's variables",
            )
        machine = _number(environment, "SLURM_NODEID", 0)
        if machine >= machines:
            raise ConfigError(f"SLURM_NODEID is {machine}, expected less than the job's {machines} machines")
        return cls(
            job=job,
            hosts=hosts,
            machine=machine,
            processes_per_machine=_processes_per_machine(environment, machines),
            restarts=_number(environment, "SLURM_RESTART_COUNT", 0),
            unused_gpus=_unused_gpus(environment),
        )

    @property
    def machines(self) -> int:
        return len(self.hosts)

    @property
    def processes(self) -> int:
        """The world size of the run."""
        return self.machines * self.processes_per_machine

    @property
    def host(self) -> str:
        """The rendezvous host."""
        return self.hosts[0]

    @property
    def port(self) -> int:
        """The rendezvous port. It depends on the job's number, so that jobs on one machine do not collide, and changes
        with every restart, in case the port is taken. Every task of an array has its own job number."""
        return FIRST_PORT + (self.job + PORTS_FURTHER * self.restarts) % PORTS


def expand_hosts(names: str) -> list[str]:
    """Expand a list such as `a[01-03,07],b-[1-2]-x[0-1]` to host names, in SLURM's order.

    Raises:
        ConfigError: `names` is not a SLURM host list.
    """
    hosts = [host for part in _split(names) for host in _expand(part)]
    if not hosts or not all(hosts):
        raise ConfigError(f"found {names!r} as a list of machines, expected names such as node[01-04]")
    return hosts


def _split(names: str) -> list[str]:
    """Split at the commas outside brackets."""
    return re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", names.strip())


def _expand(part: str) -> list[str]:
    match = _BRACKETS.search(part)
    if match is None:
        return [part]
    before, after = part[: match.start()], _expand(part[match.end() :])
    return [before + number + rest for number in _numbers(match[1]) for rest in after]


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for each in ranges.split(","):
        first, dash, last = each.partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit()):
            raise ConfigError(f"found [{ranges}] in a list of machines, expected ranges such as [01-03,07]")
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def _processes_per_machine(environment: Mapping[str, str], machines: int) -> int:
    """Return one process per requested GPU; without GPUs, `--ntasks-per-node`.

    Options per machine take precedence: on an exclusive machine SLURM reports all GPUs to the batch script, and only
    reports to the steps those that they have.
    """
    if per_node := environment.get("SLURM_GPUS_PER_NODE"):
        return gpus_of(per_node, "SLURM_GPUS_PER_NODE")
    if total := environment.get("SLURM_GPUS"):
        return _even_share(environment, gpus_of(total, "SLURM_GPUS"), machines)
    if environment.get("SLURM_GPUS_ON_NODE"):
        return _number(environment, "SLURM_GPUS_ON_NODE")
    if numbers := environment.get("SLURM_STEP_GPUS"):  # the only variable that some versions set for `--gres=gpu:N`
        return len(numbers.split(","))
    # In a step SLURM's own variable describes the step, which has one task on each machine.
    name = TASKS_PER_NODE if environment.get(TASKS_PER_NODE) else "SLURM_NTASKS_PER_NODE"
    return max(1, _number(environment, name, 1))


def _even_share(environment: Mapping[str, str], gpus: int, machines: int) -> int:
    """Divide a number of GPUs for the whole job, which SLURM may distribute unevenly."""
    share, rest = divmod(gpus, machines)
    given = _number(environment, "SLURM_GPUS_ON_NODE", share) if _is_step(environment) else share
    if rest or given != share:
        where = f" ({given} of them on {environment.get('SLURMD_NODENAME', 'this machine')})" if given != share else ""
        raise ConfigError(
            f"this job has {gpus} GPUs{where} on {machines} machines, expected the same number on each machine",
            fix="request GPUs with --gpus-per-node instead of --gpus",
        )
    return share


def _is_step(environment: Mapping[str, str]) -> bool:
    """Return whether this is a task that srun started, and not the batch script."""
    return "SLURM_STEP_NODELIST" in environment


def _unused_gpus(environment: Mapping[str, str]) -> int:
    requests = ("SLURM_GPUS_PER_NODE", "SLURM_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS")
    if not _is_step(environment) or any(environment.get(name) for name in requests):
        return 0
    return _number(environment, GPUS_ON_NODE, 0)


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"{name} is not set: this command runs only in a SLURM job", fix="start one with sbatch slurm/train.sbatch"
        )
    return value


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    if default is not None and not environment.get(name, "").strip():
        return default
    value = _text(environment, name)
    if not value.isdigit():
        raise ConfigError(f"{name} is {value!r}, expected a whole number")
    return int(value)


def array_task(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return this task's index in its job array, from 0, and the number of tasks; (0, 1) outside an array.

    Raises:
        ConfigError: the array has gaps, or a variable cannot be parsed.
    """
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1)
    first, last = (_number(environment, f"SLURM_ARRAY_TASK_{name}", 0) for name in ("MIN", "MAX"))
    if count > 1 and last - first + 1 != count:
        raise ConfigError(
            f"the job array has {count} tasks from {first} to {last}, expected consecutive numbers",
            fix=f"use --array=0-{count - 1}",
        )
    return _number(environment, "SLURM_ARRAY_TASK_ID", 0) - first, count


def gpus_of(text: str, name: str) -> int:
    """Return the number of GPUs in `8`, `a100:8` or `a100:4,h100:4`.

    Args:
        name: of the option or variable, for the error message.

    Raises:
        ConfigError: `text` is not a number of GPUs.
    """
    matches = [_COUNT.fullmatch(part.strip()) for part in text.split(",")]
    total = sum(int(match[1]) for match in matches if match)
    if not all(matches) or total < 1:
        raise ConfigError(f"{name} is {text!r}, expected a number of GPUs: N or KIND:N")
    return total


def gpus_of_gres(text: str) -> int | None:
    """Return the number of GPUs in `--gres=gpu:a100:8,nvme:1`; None if it requests no GPU."""
    matches = [match for part in text.split(",") if (match := GPU_RESOURCE.fullmatch(part.strip()))]
    return sum(int(match["count"] or 1) for match in matches) if matches else None
