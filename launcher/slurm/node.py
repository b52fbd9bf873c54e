"""Run the launcher of this machine's training processes. `srun` starts this once on every machine of a job.

    srun --ntasks-per-node=1 … python -m launcher.slurm.node CONFIG [--section.setting VALUE …]

Under some SLURM plugins signals reach only srun's direct child, which is this process. It forwards SIGUSR1 to each
training process once that has a handler, so no signal is lost. Its exit status is the outcome of the run, which
launchers hide: 0 finished, incomplete or preempted; anything else makes srun end all machines.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

from launcher.console import print_error, print_log
from launcher.processes import launcher_variables
from launcher.slurm.environment import ClusterPlace
from launcher.slurm.outcome import outcome_since, parse_run_arguments, write_refusal
from mms_dist.errors import ConfigError, ExitCode, MmsDistError, TrainingError
from mms_dist.run_directory.status_file import RunState, Status, read_status

TRAINING = "launcher.slurm.rank"
BLOCKED_SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD)
"""Signals that this process waits for. The kernel keeps blocked signals until then."""
POLL_SECONDS = 0.2
"""Between two checks for training processes that have become ready for a signal."""
RENDEZVOUS_SECONDS = 600
"""Time limit for the launchers of all machines to start."""
OUTCOME_SECONDS = 10.0
"""How long rank 0, on another machine, may still take to record the outcome after this machine's processes ended."""


def main(arguments: Sequence[str], *, module: str = TRAINING) -> int:
    """Run this machine's part of the run, and return the exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
    try:
        place, directory, before = _begin(arguments)
    except MmsDistError as error:
        print_error(f"error: {error}")
        return error.exit_code
    config, *settings = arguments
    if not any(setting.partition("=")[0] == "--comm.processes" for setting in settings):
        settings += ["--comm.processes", str(place.processes)]
    if place.machine == 0:
        where = f"{place.machines} machines, {place.processes_per_machine} per machine"
        where = where if place.machines > 1 else "1 machine"
        print_log(f"{place.processes} processes on {where}")
    cpus = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="mms-dist-logs-", ignore_cleanup_errors=True) as logs:
        command = launch_command(place, ["--config", config, *settings], cpus=cpus, module=module, logs=logs)
        status = Launcher(command, launch_environment(os.environ, place)).wait()
    return status and exit_status(directory, before, status)


def _begin(arguments: Sequence[str]) -> tuple[ClusterPlace, Path, Status | None]:
    """Return this machine's place, the run directory, and the run's status before this start.

    Raises:
        MmsDistError: the run cannot start. If that needs manual action, the reason is left for the batch script.
    """
    directory, config = parse_run_arguments(arguments)
    try:
        place = ClusterPlace.of(os.environ)
        _check_gpus(place, config.run.device)
        return place, directory, read_status(directory)
    except MmsDistError as error:
        if error.exit_code == ExitCode.USER_ERROR:
            with contextlib.suppress(TrainingError):  # without it the job is requeued a few times: no harm
                write_refusal(directory, str(error))
        raise


def _check_gpus(place: ClusterPlace, device: str) -> None:
    """
    Raises:
        ConfigError: training would use the CPUs of an exclusive machine that has GPUs.
    """
    if place.unused_gpus and device != "cpu":
        raise ConfigError(
            f"the job's first machine has {place.unused_gpus} GPUs, but the job requested none, so its processes see "
            "none",
            fix=f"request them with --gpus-per-node={place.unused_gpus} (slurm/site.sh: SBATCH_GPUS_PER_NODE), or "
            "train on CPUs with --run.device cpu",
        )


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
        *(["--rdzv_backend", "c10d", "--rdzv_conf", _rendezvous_options(place)] if several else []),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(max(1, cpus // place.processes_per_machine))),
        *("--tee", "3", "--log_dir", logs),  # lines of the job's log begin with their rank
        *("-m", module, *arguments),
    ]


def _rendezvous_options(place: ClusterPlace) -> str:
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


class Launcher:
    """A running launcher, and the signals for it and its processes. `BLOCKED_SIGNALS` must be blocked."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(command, env=dict(environment), preexec_fn=_prepare_signals)
        self._stopping = False
        self._signalled: set[int] = set()

    def wait(self) -> int:
        """Wait for the launcher to end, and return its exit status (128 + N if signal N ended it)."""
        while (status := self._process.poll()) is None:
            arrived = (
                signal.sigtimedwait(BLOCKED_SIGNALS, POLL_SECONDS)
                if self._stopping
                else signal.sigwaitinfo(BLOCKED_SIGNALS)
            )
            number = arrived.si_signo if arrived else None
            # Do not signal the launcher: it survives only two SIGTERMs, and SLURM's plugins may send many.
            self._stopping |= number in (signal.SIGUSR1, signal.SIGTERM)
            if self._stopping:
                self._forward_stop()
        return status if status >= 0 else 128 - status

    def _forward_stop(self) -> None:
        """Send SIGUSR1 to the training processes that have a handler and have not had it yet."""
        for pid in training_processes(self._process.pid):
            if pid not in self._signalled and catches(pid, signal.SIGUSR1):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)
                self._signalled.add(pid)


def _prepare_signals() -> None:
    """Set up the launcher's signals between fork and exec.

    The launcher ignores SIGUSR1, which some SLURM plugins send to all processes of the job. Its children inherit that
    until they have handlers.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def training_processes(launcher: int) -> Iterator[int]:
    """Yield the ranks below a launcher: on each branch the first process with a LOCAL_RANK. Its children share it."""
    import psutil  # rarely needed

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(launcher).children():
            with contextlib.suppress(psutil.Error):
                if "LOCAL_RANK" in child.environ():
                    yield child.pid
                else:
                    yield from training_processes(child.pid)


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for the signal."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def exit_status(directory: Path, before: Status | None, launcher_status: int) -> int:
    """Return the exit status for a launcher that did not end with 0, from the run's own status.

    Wait a little for that status: srun kills all machines as soon as this one reports a failure, and rank 0, which
    writes the status, may be on another machine.
    """
    deadline = monotonic() + OUTCOME_SECONDS
    while True:
        try:
            outcome = outcome_since(directory, before)
        except TrainingError as error:  # rank 0 may be writing it on another machine
            if monotonic() > deadline:
                print_error(f"error: {error}")
                return launcher_status
            sleep(POLL_SECONDS)
            continue
        if outcome is None:
            return launcher_status
        if outcome.state != RunState.RUNNING or monotonic() > deadline:
            break
        sleep(POLL_SECONDS)
    if outcome.state in (RunState.FINISHED, RunState.PREEMPTED, RunState.INCOMPLETE):
        return 0
    return outcome.exit_code or ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
