"""The one launcher of each machine of a SLURM job: its command and what it needs in its environment."""

import sys
from collections.abc import Mapping, Sequence

from launcher.processes import launcher_variables
from launcher.slurm.environment import ClusterPlace

MEETING_SECONDS = 600
"""In which the launchers of all machines must have started."""


def launch_command(place: ClusterPlace, arguments: Sequence[str], *, cpus: int, module: str, logs: str) -> list[str]:
    """`accelerate launch …` for this machine: all machines of the job meet on the first one.

    Args:
        arguments: of the module.
        cpus: of this machine that the job may use; they are divided among its processes.
        module: what every process runs.
        logs: a folder of this machine for what the processes print, beside the log of the job, which has it all.
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
    """The first machine keeps the store, and says so: by themselves machines would go by their names, of which SLURM's
    may be none. The others wait for it as long as a slow file system may take to load Python there."""
    return f"is_host={str(place.machine == 0).lower()},read_timeout={MEETING_SECONDS},join_timeout={MEETING_SECONDS}"


def launch_environment(environment: Mapping[str, str], place: ClusterPlace) -> dict[str, str]:
    """What to start it with."""
    return {
        **environment,
        **launcher_variables(),
        # SIGUSR1 is for the training processes, and reaches the launcher as well under some of SLURM's plugins: it
        # ignores it, and so do they until they are ready for it.
        "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT",
        "TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank ${rank}] ",
        "PYTHONUNBUFFERED": "1",
        # By which ranks elsewhere reach those of this machine: SLURM's name for it, and not its own.
        "PET_LOCAL_ADDR": place.hosts[place.machine],
    }
