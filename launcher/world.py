"""Whether this process was meant to be one of several that never met: some launchers fall short without a word."""

from collections.abc import Mapping

from mms_dist.errors import ConfigError

STARTED = {  # what says how many processes were started, and who says it
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun or srun",
    "MV2_COMM_WORLD_SIZE": "mpirun",
}
FIX = (
    "Start them with `accelerate launch --config_file configs/accelerate/…` (every file there starts all "
    "of its processes), with `accelerate launch --multi_gpu …` or with torchrun"
)


def check_world(environment: Mapping[str, str], processes: int | None) -> None:
    """Stop a process that would train alone although it was started as one of many.

    `accelerate launch --cpu --num_processes N`, a configuration of accelerate with MULTI_CPU, and any without
    `--multi_gpu` start a single process; `srun` and `mpirun` start N that know nothing of each other. Such a process
    has no WORLD_SIZE, but it has other signs in its environment.

    Args:
        processes: `comm.processes`; 1 says that being alone is meant.

    Raises:
        ConfigError: there are such signs.
    """
    if environment.get("WORLD_SIZE") or processes == 1:
        return
    for variable, starter in STARTED.items():
        count = environment.get(variable, "")
        if count.isdigit() and int(count) > 1:
            raise ConfigError(
                f"{starter} started {count} processes ({variable}), but nothing tells them of each other: there is no "
                f"WORLD_SIZE. {FIX}, one launcher on each machine. If each is to train alone, say --comm.processes 1"
            )
    # accelerate's plain launcher sets MASTER_ADDR if it was asked for more than the one process that it starts.
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        raise ConfigError(
            "accelerate launch was asked for several processes and has started one: it does so with --cpu, with "
            f"MULTI_CPU, and without --multi_gpu. {FIX}. If one process is meant (and MASTER_ADDR is set for another "
            "reason), say --comm.processes 1"
        )
