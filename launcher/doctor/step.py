"""Give tasks that `srun` started the environment that a launcher gives its processes."""

from collections.abc import MutableMapping

from launcher.slurm.environment import ClusterPlace, expand_hosts


def take_place(environment: MutableMapping[str, str]) -> None:
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
