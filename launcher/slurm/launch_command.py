"""The command and environment of the launcher that runs once on each machine of a SLURM job."""

import sys
from collections.abc import Mapping, Sequence

from launcher.processes import launcher_variables
from launcher.slurm.environment import ClusterPlace

RENDEZVOUS_SECONDS = 600
"""Time limit for the launchers of all machines to start."""


def launch_command(place: ClusterPlace, arguments: Sequence[str], *, cpus: int, module: str, logs: str) -> list[str]:
    """Return `accelerate launch …` for this machine, with the rendezvous on the job's first machine.

    Args:
        arguments: of the module.
        cpus: CPUs of this machine that the job may use, divided among its processes.
        module: the module that every process runs.
        logs: a local folder for the output of the processes; the job's log gets all of it too.
    """
    if place.processes == 1:  # accelerate would start it without the environment of a rank, if at all
        alone = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", "--tee", "3")
        return [sys.executable, *alone, "--log-dir", logs, "-m", module, *arguments]
    several = place.machines > 1
    rendezvous = ["--main_process_ip", place.host, "--main_process_port", str(place.port)]
    return [
        *(sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"),
        *("--num_machines", str(place.machines), "--num_processes", str(place.processes)),
        *("--machine_rank", str(place.machine), *(rendezvous if several else ["--main_process_port", "0"])),
        *(["--rdzv_backend", "c10d", "--rdzv_conf", _rendezvous(place)] if several else []),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(max(1, cpus // place.processes_per_machine))),
        *("--tee", "3", "--log_dir", logs),  # lines of the job's log begin with their rank
        *("-m", module, *arguments),
    ]


def _rendezvous(place: ClusterPlace) -> str:
    """Return the rendezvous configuration, with the store on the first machine.

    `is_host` is explicit because torch would otherwise compare host names, and SLURM's name need not be one of the
    machine's. The timeouts allow for a slow file system on which Python loads slowly.
    """
    timeouts = f"read_timeout={RENDEZVOUS_SECONDS},join_timeout={RENDEZVOUS_SECONDS}"
    return f"is_host={str(place.machine == 0).lower()},{timeouts}"


def launch_environment(environment: Mapping[str, str], place: ClusterPlace) -> dict[str, str]:
    """Return the launcher's environment."""
    return {
        **environment,
        **launcher_variables(),
        # SIGUSR1 is for the training processes, but some SLURM plugins also send it to the launcher. The launcher
        # ignores it, and so do the training processes until they have a handler.
        "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT",
        "TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank ${rank}] ",
        "PYTHONUNBUFFERED": "1",
        # The address at which other machines reach this one: SLURM's name for it, and not its own host name.
        "PET_LOCAL_ADDR": place.hosts[place.machine],
    }
