"""A job as it will be submitted: which script, with which options of sbatch and which arguments."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.slurm.lead_time import lead_of_script
from launcher.slurm.script import arguments_line, options_of, render
from launcher.slurm.site import site_options
from launcher.slurm.time_limit import limit_seconds
from mms_dist.errors import ConfigError

SCRIPTS = ("train", "shards", "eval", "debug")
GPU_OPTIONS = ("gpus-per-node", "gres", "gpus", "gpus-per-task")
SUBMITTED = "# Filled in by `mms-dist submit`. This file is all that sbatch needs to start the same job again."
ONE_MACHINE = ("shards", "eval")
LOGS = "logs"


@dataclass(frozen=True)
class Submission:
    """A job before it has a number."""

    script: str
    """`train`, `shards`, `eval` or `debug`."""
    text: str
    """The whole batch script: sbatch needs nothing beside it."""
    log_folder: Path

    @property
    def options(self) -> dict[str, str]:
        """sbatch's options by their long names."""
        return options_of(self.text)

    @property
    def name(self) -> str:
        return self.options["job-name"]

    @property
    def nodes(self) -> int:
        return int(self.options["nodes"])

    @property
    def processes_per_node(self) -> int:
        """Training processes, as the job will count them."""
        options = self.options
        for name in ("gpus-per-node", "gres"):
            if match := re.search(r"(?:^|\bgpu:(?:[^:,]+:)?|:)(\d+)(?:$|,)", options.get(name, "")):
                return int(match[1])
        return int(options.get("ntasks-per-node", "1"))

    @property
    def limit_seconds(self) -> int:
        return limit_seconds(self.options["time"])

    @property
    def lead_seconds(self) -> int | None:
        """Of SLURM's warning before that; None without one."""
        return lead_of_script(self.text)

    def log(self, job: str) -> Path:
        """Where the job will print; of an array, its first task."""
        pattern = self.options["output"].replace("%x", self.name).replace("%A", job).replace("%j", job)
        return Path(pattern.replace("%a", self.options.get("array", "0").partition("-")[0]).replace("%%", "%"))


def prepare(
    script: str,
    arguments: Sequence[str],
    *,
    home: Path,
    about: Path,
    wanted: Mapping[str, str],
    environment: Mapping[str, str],
) -> Submission:
    """Fill in a shipped script.

    Args:
        script: one of `SCRIPTS`.
        arguments: of the script.
        home: the folder that has `slurm/`, in which the job will run.
        about: the folder that the job is about: it names the job, and has its logs in it.
        wanted: options of sbatch; they outrank those of `slurm/site.sh`, and these the script's own.
        environment: of this process.

    Raises:
        ConfigError: a script or the site's file is missing, or an option cannot be used.
    """
    path = home / "slurm" / f"{script}.sbatch"
    try:
        shipped = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; run this in the folder of the repository, or in one with a copy of "
            "its folder slurm/"
        ) from error
    log_folder = about / LOGS
    own = options_of(shipped)
    output = _escaped(log_folder) + "/" + own["output"]
    options = {"job-name": f"{own['job-name']}-{_tag(about)}", "output": output}
    site = _for_script(script, site_options(home / "slurm" / "site.sh", environment))
    if wanted.keys() & {*GPU_OPTIONS, "ntasks-per-node"}:
        site = _without_gpus(site)
    options |= site | dict(wanted)
    setup = [SUBMITTED, f"export MMS_DIST_HOME={shlex.quote(str(home))}", arguments_line(arguments)]
    submission = Submission(script, render(shipped, options, setup), log_folder)
    _check(submission)
    return submission


def _for_script(script: str, site: Mapping[str, str]) -> dict[str, str]:
    """What a site wants of training jobs, as it suits the script: shards need no GPU, and scoring needs one."""
    if script == "shards":
        return _without_gpus(site)
    if script == "eval":
        return {name: re.sub(r"\d+$", "1", value) if name in GPU_OPTIONS else value for name, value in site.items()}
    return dict(site)


def _without_gpus(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in GPU_OPTIONS}


def _check(submission: Submission) -> None:
    nodes = submission.options.get("nodes", "1")
    if not nodes.isdigit() or int(nodes) < 1:
        raise ConfigError(f"--nodes: found {nodes!r}, expected a whole number of 1 or more")
    if submission.script in ONE_MACHINE and int(nodes) > 1:
        mend = "ask for more tasks with --tasks N" if submission.script == "shards" else "leave --nodes out"
        raise ConfigError(f"--nodes: found {nodes}; the {submission.script} script works on one machine, {mend}")
    lead = submission.lead_seconds
    if lead is not None and lead >= submission.limit_seconds:
        raise ConfigError(
            f"--time {submission.options['time']}: SLURM's warning would come {lead} s before the end, and so before "
            f"the start; give more time, or --sbatch signal=B:USR1@{submission.limit_seconds // 3} for a later warning"
        )


def _tag(folder: Path) -> str:
    """A folder's name as a part of a job's."""
    return re.sub(r"[^\w.+-]+", "-", folder.resolve().name) or "run"


def _escaped(folder: Path) -> str:
    """A folder in an option in which sbatch replaces %x and the like."""
    return str(folder.absolute()).replace("%", "%%")
