"""Where a run is to be: on how many machines, with how many processes on each, and whether this is one of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.slurm.environment import ClusterPlace


@dataclass(frozen=True)
class Site:
    """The machines of a run, as far as they are known."""

    nodes: int = 1
    processes: int | None = None
    """On each of them; None: one for each GPU, and one where there is none."""
    here: bool = True
    """The run is to be on this machine, so that its devices, memory and network tell something."""
    memory_gib: float | None = None
    """Of the device of a process; None: what is found here."""
    job: str | None = None
    """The SLURM job around this process."""
    script: str | None = None
    """The text of the batch script that is about to be submitted."""

    def on_each(self, gpus: int) -> int:
        """Processes on a machine with so many GPUs."""
        return self.processes or max(1, gpus)

    def world(self, gpus: int) -> int:
        """Processes of the whole run."""
        return self.nodes * self.on_each(gpus)


def site_of(
    environment: Mapping[str, str],
    *,
    nodes: int | None = None,
    processes: int | None = None,
    memory_gib: float | None = None,
    script: str | None = None,
) -> Site:
    """From what the command line says, and else from the launcher or the SLURM job around this process.

    Machines that are counted on the command line are others than this one, unless a job of SLURM is around.

    Raises:
        ConfigError: SLURM's variables cannot be understood.
    """
    job = environment.get("SLURM_JOB_ID")
    here = nodes is None or job is not None
    if "WORLD_SIZE" in environment:  # this is one of the run's own processes
        on_each = int(environment.get("LOCAL_WORLD_SIZE", 1))
        return Site(int(environment["WORLD_SIZE"]) // on_each, on_each, here, memory_gib, job, script)
    if job is not None:
        place = ClusterPlace.of(environment)
        nodes, processes = nodes or place.machines, processes or place.processes_per_machine
    return Site(nodes or 1, processes, here, memory_gib, job, script)
