"""Detect a process that was meant to be one of several but would train alone: some launchers fail silently."""

from collections.abc import Mapping

from mms_dist.errors import ConfigError

STARTED = {  # the variable that holds the number of processes, and the program that sets it
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun or srun",
    "MV2_COMM_WORLD_SIZE": "mpirun",
}
FIX = (
    "start them with `accelerate launch --config_file configs/accelerate/…` (every file there starts all "
    "its processes), with `accelerate launch --multi_gpu …` or with torchrun"
)


def check_world(environment: Mapping[str, str], processes: int | None) -> None:
    """Raise an error if this process would train alone although it was started as one of several.

    `accelerate launch --cpu --num_processes N`, an accelerate configuration with MULTI_CPU, and any without
    `--multi_gpu` start a single process. `srun` and `mpirun` start N processes that do not know of each other. Such a
    process has no WORLD_SIZE, but other variables give it away.

    Args:
        processes: `comm.processes`; 1 means that a single process is intended.

    Raises:
        ConfigError: the environment shows that several processes were intended.
    """
    if environment.get("WORLD_SIZE") or processes == 1:
        return
    for variable, starter in STARTED.items():
        count = environment.get(variable, "")
        if count.isdigit() and int(count) > 1:
            raise ConfigError(
                f"{starter} started {count} processes ({variable}), but they do not know of each other: WORLD_SIZE is "
                "not set",
                fix=f"{FIX}, one launcher on each machine. If each should train alone, pass --comm.processes 1",
            )
    # accelerate's plain launcher sets MASTER_ADDR if it was asked for more processes than the one it starts.
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        raise ConfigError(
            "accelerate launch was asked for several processes but started one, as it does with --cpu, with MULTI_CPU "
            "and without --multi_gpu",
            fix=f"{FIX}. If you want one process (and MASTER_ADDR is set for another reason), pass --comm.processes 1",
        )
