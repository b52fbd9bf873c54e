"""Run sbatch: test whether it accepts a job, and submit the job."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from launcher.slurm.environment import gpus_of, gpus_of_gres
from launcher.slurm.job import note
from launcher.slurm.lead_time import lead_seconds_of
from launcher.slurm.site import PREFIX
from launcher.slurm.submission import Submission
from mms_dist.errors import ConfigError

SECONDS = 120.0
OF_THE_CLUSTER = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_UMASK", "SLURM_DEBUG_FLAGS", "SLURM_JWT")
"""Variables that SLURM's commands need to find and contact the cluster."""
FIX = "`sinfo` shows what is available; change the request with --nodes, --time and --sbatch OPTION=VALUE"

_OPTION = re.compile(r"^sbatch: ([a-z][a-z0-9-]*) *: (.*)$", re.MULTILINE)
_END_OF_OPTIONS = "end of defined options"
_TIME = re.compile(r"(?:(\d+)-)?(\d+):(\d+):(\d+)")


@dataclass(frozen=True)
class JobRequest:
    """A job as sbatch understands it, after its command line, variables and `#SBATCH` lines have been ranked."""

    options: Mapping[str, str]
    """All options that are set anywhere, by their long names."""
    can_start: bool = True
    """Whether SLURM could start the job at some time as things are now."""
    message: str = ""
    """When and where SLURM would start the job, or why it would not."""

    @property
    def nodes(self) -> int:
        """Machines; the fewest, if the job asks for a range."""
        match = re.match(r"\d+", self.options.get("nodes", "1"))
        return int(match[0]) if match else 1

    @property
    def processes_per_node(self) -> int:
        """Training processes per machine, counted as the job will count them."""
        if per_node := self.options.get("gpus-per-node"):
            return gpus_of(per_node, "--gpus-per-node")
        return gpus_of_gres(self.options.get("gres", "")) or int(self.options.get("ntasks-per-node", "1"))

    @property
    def time(self) -> str:
        """The time limit as SLURM writes it."""
        return self.options.get("time", "")

    @property
    def limit_seconds(self) -> int | None:
        """The time limit; None if there is none, or none that is known."""
        match = _TIME.fullmatch(self.time)
        if match is None:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    @property
    def signal(self) -> str:
        """The value of `--signal`; empty without one."""
        return self.options.get("signal", "")

    def check(self) -> None:
        """
        Raises:
            ConfigError: SLURM would warn the job before it has started, or the number of processes is unclear.
        """
        _ = self.processes_per_node  # raises if they cannot be counted
        lead, limit = lead_seconds_of(self.signal), self.limit_seconds
        if lead is not None and limit is not None and lead >= limit:
            raise ConfigError(
                f"--time {self.time}: SLURM's warning {lead} s before the end would come before the start",
                fix=f"increase --time, or use --sbatch signal=B:USR1@{limit // 3} for a later warning",
            )


def ask_sbatch(submission: Submission, environment: Mapping[str, str] | None = None) -> JobRequest:
    """Test whether sbatch accepts a job, and ask SLURM when it would start it.

    SLURM gives the same message for a job that requests more machines than exist and for one that requests machines
    that are down at the moment. It may accept both, and keep them pending.

    Raises:
        ConfigError: there is no sbatch, or it does not understand an option.
    """
    answer = _run_sbatch(submission, ["--test-only", "--verbose"], environment)
    table, end, rest = answer.stderr.partition(_END_OF_OPTIONS)
    if answer.returncode and not end:
        raise ConfigError(f"sbatch rejects the job: {answer.stderr.strip()}", fix=FIX)
    options = {name: value.strip() for name, value in _OPTION.findall(table)} if end else submission.options
    lines = [line.removeprefix("sbatch: ") for line in (rest if end else table).strip().splitlines()]
    if answer.returncode:
        message = "; ".join(line for line in lines if not line.startswith("select/"))
        waits = "if sbatch accepts the job, it stays pending until that changes"
        return JobRequest(options, False, f"it would not start this job at present: {message}; {waits}. {FIX}")
    starts = [line for line in lines if re.match(r"Job \d+ to start at", line)]
    # The job will get another number.
    message = re.sub(r"Job \d+ to start at", "would start it at", "; ".join(starts or lines[-1:]))
    return JobRequest(options, True, message)


def submit(submission: Submission, environment: Mapping[str, str] | None = None) -> str:
    """Submit a job and return its number. The command stays in the folder of its log.

    Raises:
        ConfigError: there is no sbatch, sbatch rejects the job, or that folder cannot be written.
    """
    now = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    script = submission.log_folder / f"{submission.name}-{now}.sh"
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(submission.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {script}: {error.strerror}", fix="make it writable, or choose another folder"
        ) from error
    try:
        job = _submit(submission, environment)
    except ConfigError:
        script.unlink()
        raise
    note(script, submission.script, job, submission.log(job))
    return job


def _submit(submission: Submission, environment: Mapping[str, str] | None) -> str:
    answer = _run_sbatch(submission, ["--parsable"], environment)
    if answer.returncode:
        message = answer.stderr.strip() or f"exit status {answer.returncode}"
        raise ConfigError(f"sbatch rejects the job: {message}", fix=FIX)
    # number;cluster, perhaps after lines with a site's greeting
    numbers = re.findall(r"^(\d+)(?:;\S*)?$", answer.stdout, re.MULTILINE)
    if not numbers:
        raise ConfigError(f"sbatch printed {answer.stdout!r}, expected a job number", fix="check `squeue --me`")
    return str(numbers[-1])


def _run_sbatch(
    submission: Submission, mode: Sequence[str], environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if not _is_of_another_job(name)} | submission.variables
    try:
        return subprocess.run(
            ["sbatch", *mode, *submission.words],
            env=kept,
            cwd=submission.home,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except FileNotFoundError as error:
        raise ConfigError(
            "found no sbatch on PATH",
            fix="submit on a machine with SLURM's commands (a login node, perhaps after `module load slurm`), or print "
            "the command with --dry-run",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"sbatch did not respond within {SECONDS:g} s",
            fix="check whether SLURM is up (`scontrol ping`), and whether the job was submitted anyway (`squeue --me`)",
        ) from error


def _is_of_another_job(variable: str) -> bool:
    """Return whether a variable is sbatch's own, which the submission brings itself, or of a surrounding job: the new
    one would inherit it."""
    return variable.startswith((PREFIX, "SLURM_")) and variable not in OF_THE_CLUSTER
