"""Where a run will be: the number of machines and processes, and whether this is one of the machines."""

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.slurm.environment import ClusterPlace


@dataclass(frozen=True)
class Site:
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
    script: str | None = None
    """The text of the batch script that is about to be submitted."""

    def on_each(self, gpus: int) -> int:
        """Return the number of processes on a machine with `gpus` GPUs."""
        return self.processes or max(1, gpus)

    def world(self, gpus: int) -> int:
        """Return the number of processes of the whole run."""
        return self.nodes * self.on_each(gpus)


def site_of(
    environment: Mapping[str, str],
    *,
    nodes: int | None = None,
    processes: int | None = None,
    memory_gib: float | None = None,
    script: str | None = None,
) -> Site:
    """Build a site from the command line, or else from the launcher or SLURM job that this process runs in.

    `nodes` from the command line means other machines than this one, unless this is a SLURM job.

    Raises:
        ConfigError: SLURM's variables cannot be parsed.
    """
    job = environment.get("SLURM_JOB_ID")
    here = nodes is None or job is not None
    if "WORLD_SIZE" in environment:  # a launcher started this process
        on_each = int(environment.get("LOCAL_WORLD_SIZE", 1))
        return Site(int(environment["WORLD_SIZE"]) // on_each, on_each, here, memory_gib, job, script)
    if job is not None:
        place = ClusterPlace.of(environment)
        nodes, processes = nodes or place.machines, processes or place.processes_per_machine
    return Site(nodes or 1, processes, here, memory_gib, job, script)
