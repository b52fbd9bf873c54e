"""Where a run will be: the number of machines and processes, and whether this is one of the machines."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from launcher.slurm.environment import ClusterPlace, expand_hosts


@dataclass(frozen=True)
class Machines:
    """The machines of a run, as far as known."""

    nodes: int = 1
    processes: int | None = None
    """Processes per machine; None: one per GPU, or one without GPUs."""
    here: bool = True
    """Whether the run will use this machine, so that its devices, memory and network matter."""
    memory_gib: float | None = None
    """Memory of a process's device; None: as found here."""
    job: str | None = None
    """The SLURM job that this process runs in."""
    signal: str | None = None
    """The `--signal` of the training job that is about to be submitted, empty if it has none; None if there is no such
    job."""

    def processes_on_machine(self, gpus: int) -> int:
        """Return the number of processes on a machine with `gpus` GPUs."""
        return self.processes or max(1, gpus)

    def world(self, gpus: int) -> int:
        """Return the number of processes of the whole run."""
        return self.nodes * self.processes_on_machine(gpus)


def machines_of(
    environment: Mapping[str, str],
    *,
    nodes: int | None = None,
    processes: int | None = None,
    memory_gib: float | None = None,
    signal: str | None = None,
) -> Machines:
    """Describe the machines from the command line, or else from the launcher or SLURM job that this process runs in.

    `nodes` from the command line means machines other than this one, unless this is a SLURM job.

    Raises:
        ConfigError: SLURM's variables cannot be parsed.
    """
    job = environment.get("SLURM_JOB_ID")
    here = nodes is None or job is not None
    if "WORLD_SIZE" in environment:  # a launcher started this process
        on_each = int(environment.get("LOCAL_WORLD_SIZE", 1))
        return Machines(int(environment["WORLD_SIZE"]) // on_each, on_each, here, memory_gib, job, signal)
    if job is not None:
        place = ClusterPlace.of(environment)
        nodes, processes = nodes or place.machines, processes or place.processes_per_machine
    return Machines(nodes or 1, processes, here, memory_gib, job, signal)


def set_launch_variables(environment: MutableMapping[str, str]) -> None:
    """Set the rank, world size and rendezvous address of one of several tasks started by `srun`, like a launcher."""
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    if "WORLD_SIZE" in environment or "SLURM_PROCID" not in environment or tasks == "1":
        return
    environment.update(
        RANK=environment["SLURM_PROCID"],
        WORLD_SIZE=tasks,
        LOCAL_RANK=environment.get("SLURM_LOCALID", "0"),
        MASTER_ADDR=expand_hosts(environment["SLURM_STEP_NODELIST"])[0],
        MASTER_PORT=str(ClusterPlace.of(environment).port),
    )
