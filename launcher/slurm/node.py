"""What `srun` starts once on every machine of a job: the launcher of this machine's training processes.

    srun --ntasks-per-node=1 … python -m launcher.slurm.node CONFIG [--section.setting VALUE …]

It is srun's direct child, which is all that a signal reaches under some of SLURM's plugins, and hands SIGUSR1 on to
the training processes: to each as soon as it is ready for it, so none is lost. Its exit status says what became of
the run, which launchers mask: 0 finished, incomplete or preempted; anything else makes srun end all machines.
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

from launcher.slurm.environment import ClusterPlace
from launcher.slurm.launch_command import launch_command, launch_environment
from launcher.slurm.outcome import outcome_since, read_run
from launcher.slurm.refusal import leave_refusal
from mms_dist.config import Config
from mms_dist.errors import ConfigError, ExitCode, MmsDistError, TrainingError
from mms_dist.training.attempts import RunState, Status, read_status

TRAINING = "launcher.slurm.rank"
KEPT = (signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD)
TELL_AGAIN_SECONDS = 0.2
"""Between two looks for training processes that are not yet ready for a signal."""
LAST_WORDS_SECONDS = 10.0
"""How long after this machine's processes rank 0, elsewhere, may still write down how the run ended."""


def main(arguments: Sequence[str], *, module: str = TRAINING) -> int:
    """Run this machine's part of the run, and return the exit status."""
    # Blocked signals are kept by the kernel until they are asked for.
    signal.pthread_sigmask(signal.SIG_BLOCK, KEPT)
    try:
        place, directory, before = _begin(arguments)
    except MmsDistError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    config, *settings = arguments
    if not any(setting.partition("=")[0] == "--comm.processes" for setting in settings):
        settings += ["--comm.processes", str(place.processes)]
    if place.machine == 0:
        where = f"{place.machines} machines, {place.processes_per_machine} on each"
        where = where if place.machines > 1 else "1 machine"
        print(f"mms-dist: {place.processes} processes on {where}", file=sys.stderr, flush=True)
    cpus = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="mms-dist-logs-", ignore_cleanup_errors=True) as logs:
        command = launch_command(place, ["--config", config, *settings], cpus=cpus, module=module, logs=logs)
        status = Launcher(command, launch_environment(os.environ, place)).wait()
    return status and exit_status(directory, before, status)


def _begin(arguments: Sequence[str]) -> tuple[ClusterPlace, Path, Status | None]:
    """This machine's place, the run directory, and how the run stood before.

    Raises:
        MmsDistError: something is wrong; if a person has to fix it, the batch script is left a word.
    """
    directory, config = read_run(arguments)
    try:
        place = ClusterPlace.of(os.environ)
        _check_gpus(place, config)
        return place, directory, read_status(directory)
    except MmsDistError as error:
        if error.exit_code == ExitCode.USER_ERROR:
            with contextlib.suppress(TrainingError):  # without it the job comes back a few times: no harm
                leave_refusal(directory, str(error))
        raise


def _check_gpus(place: ClusterPlace, config: Config) -> None:
    """
    Raises:
        ConfigError: training would be on the CPUs of a machine whose GPUs the job has for itself.
    """
    if place.unused_gpus and config.run.device != "cpu":
        raise ConfigError(
            f"the job has the {place.unused_gpus} GPUs of its first machine and has asked for none, so its processes "
            f"see none: ask for them with --gpus-per-node={place.unused_gpus} (slurm/site.sh: SBATCH_GPUS_PER_NODE), "
            "or train on CPUs with --run.device cpu"
        )


class Launcher:
    """A launcher at work, and the signals for it and for what it has started. `KEPT` must be blocked."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(command, env=dict(environment), preexec_fn=_ready_for_the_launcher)
        self._stopping = False
        self._told: set[int] = set()

    def wait(self) -> int:
        """Until it has ended: its exit status, 128 + N if signal N ended it."""
        while (status := self._process.poll()) is None:
            arrived = signal.sigtimedwait(KEPT, TELL_AGAIN_SECONDS) if self._stopping else signal.sigwaitinfo(KEPT)
            number = arrived.si_signo if arrived else None
            # Not the launcher: it survives two SIGTERMs, and SLURM's plugins send as many of them as they like.
            self._stopping |= number in (signal.SIGUSR1, signal.SIGTERM)
            if self._stopping:
                self._tell()
        return status if status >= 0 else 128 - status

    def _tell(self) -> None:
        """Pass SIGUSR1 on to those that are ready for it and have not had it."""
        for pid in training_processes(self._process.pid):
            if pid not in self._told and catches(pid, signal.SIGUSR1):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)
                self._told.add(pid)


def _ready_for_the_launcher() -> None:
    """Between fork and exec. It ignores SIGUSR1, which under some plugins SLURM sends to all processes of the job; so
    do its children until they have handlers of their own."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, KEPT)


def training_processes(launcher: int) -> Iterator[int]:
    """Ranks below a launcher: the first on their branch that have a LOCAL_RANK. Their own children have one too."""
    import psutil  # seldom needed

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(launcher).children():
            with contextlib.suppress(psutil.Error):
                if "LOCAL_RANK" in child.environ():
                    yield child.pid
                else:
                    yield from training_processes(child.pid)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for the signal."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def exit_status(directory: Path, before: Status | None, launcher_status: int) -> int:
    """What a launcher that did not end with 0 stands for, by the run's own word.

    It is waited for a little: srun kills all machines as soon as this one says that something is wrong, and rank 0,
    which writes the word, may be on another one.
    """
    deadline = monotonic() + LAST_WORDS_SECONDS
    while True:
        try:
            outcome = outcome_since(directory, before)
        except TrainingError as error:  # rank 0 may be writing it on another machine
            if monotonic() > deadline:
                print(f"error: {error}", file=sys.stderr)
                return launcher_status
            sleep(TELL_AGAIN_SECONDS)
            continue
        if outcome is None:
            return launcher_status
        if outcome.state != RunState.RUNNING or monotonic() > deadline:
            break
        sleep(TELL_AGAIN_SECONDS)
    if outcome.state in (RunState.FINISHED, RunState.PREEMPTED, RunState.INCOMPLETE):
        return 0
    return outcome.exit_code or ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
