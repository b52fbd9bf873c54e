"""A job as it will be submitted: its script, its sbatch options and its arguments."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.slurm.directive import NAME
from launcher.slurm.gpus import gpus_of, gpus_of_gres, other_gres
from launcher.slurm.lead_time import lead_of_script
from launcher.slurm.script import arguments_line, options_of, outranked, render
from launcher.slurm.site import site_options
from launcher.slurm.time_limit import limit_seconds
from mms_dist.errors import ConfigError

SCRIPTS = ("train", "shards", "eval", "debug")
GPU_OPTIONS = ("gpus-per-node", "gpus", "gpus-per-task", "gpus-per-socket", "ntasks-per-gpu")
PER_NODE = ("gpus-per-node", "ntasks-per-node", "gres")
"""Options that set the number of processes per machine."""
NOT_PER_NODE = ("gpus", "gpus-per-task", "gpus-per-socket", "ntasks", "ntasks-per-gpu", "tres-per-task")
"""Options that do not, since SLURM may distribute them unevenly."""
NEEDED = ("job-name", "nodes", "output", "time")
OF_SBATCH_ITSELF = ("help", "parsable", "quiet", "test-only", "usage", "verbose", "version", "wait", "wrap")
SUBMITTED = "# Filled in by `mms-dist submit`. To submit the same job again, pass only this file to sbatch."
ONE_MACHINE = ("shards", "eval")
LOGS = "logs"


@dataclass(frozen=True)
class Submission:
    """A job that has not been submitted yet."""

    script: str
    """`train`, `shards`, `eval` or `debug`."""
    text: str
    """The complete batch script: sbatch needs nothing else."""
    log_folder: Path

    @property
    def options(self) -> dict[str, str]:
        """The sbatch options by their long names."""
        return options_of(self.text)

    @property
    def name(self) -> str:
        return self.options["job-name"]

    @property
    def nodes(self) -> int:
        return int(self.options["nodes"])

    @property
    def processes_per_node(self) -> int:
        """Training processes per machine, counted as the job will count them."""
        options = self.options
        if per_node := options.get("gpus-per-node"):
            return gpus_of(per_node, "--gpus-per-node")
        return gpus_of_gres(options.get("gres", "")) or int(options.get("ntasks-per-node", "1"))

    @property
    def limit_seconds(self) -> int:
        return limit_seconds(self.options["time"])

    @property
    def lead_seconds(self) -> int | None:
        """Seconds from SLURM's warning to the time limit; None without a warning."""
        return lead_of_script(self.text)

    def log(self, job: str) -> Path:
        """Return the log file of the job; for an array, that of its first task."""
        pattern = self.options["output"].replace("%x", self.name).replace("%A", job).replace("%j", job)
        return Path(pattern.replace("%a", self.options.get("array", "0").partition("-")[0]).replace("%%", "%"))


def prepare(
    script: str,
    arguments: Sequence[str],
    *,
    home: Path,
    about: Path,
    wanted: Mapping[str, str | None],
    environment: Mapping[str, str],
) -> Submission:
    """Fill in a shipped script.

    Args:
        script: one of `SCRIPTS`.
        arguments: of the script.
        home: the folder that has `slurm/`, in which the job will run.
        about: the folder that the job works on: it names the job, and its subfolder gets the logs.
        wanted: sbatch options; they override those of `slurm/site.sh`, which override the script's own. None removes
            an option.
        environment: of this process.

    Raises:
        ConfigError: a script or the site's file is missing, or an option cannot be used.
    """
    path = home / "slurm" / f"{script}.sbatch"
    try:
        shipped = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            fix="run this in a clone of the repository, or in a folder that `mms-dist init` has filled",
        ) from error
    log_folder = about / LOGS
    own = options_of(shipped)
    if missing := [name for name in NEEDED if name not in own]:
        raise ConfigError(f"{path}: found no #SBATCH --{missing[0]}=…, which every job needs", fix="restore that line")
    output = _escaped(log_folder) + "/" + own["output"]
    options: dict[str, str | None] = {"job-name": f"{own['job-name']}-{_tag(about)}", "output": output}
    site = _for_script(script, site_options(home / "slurm" / "site.sh", environment))
    if wanted.get("ntasks-per-node"):
        site = _without_gpus(site)
    elif any(wanted.get(name) for name in PER_NODE):
        site = _without_counts(site)
    options = outranked(outranked(options, site), wanted)
    _check_options(script, options)
    setup = [SUBMITTED, f"export MMS_DIST_HOME={shlex.quote(str(home))}", arguments_line(arguments)]
    submission = Submission(script, render(shipped, options, setup), log_folder)
    _check(submission)
    return submission


def _for_script(script: str, site: Mapping[str, str]) -> dict[str, str]:
    """Adapt a site's options for training jobs to the script: building shards needs no GPU, scoring needs one."""
    if script == "shards":
        return _without_gpus(site)
    if script == "eval":
        few = {
            name: re.sub(r"\d+(,.*)?$", "1", value) if name in GPU_OPTIONS else value for name, value in site.items()
        }
        return few | ({"gres": other_gres(site["gres"], 1)} if site.get("gres") else {})
    return dict(site)


def _without_gpus(options: Mapping[str, str]) -> dict[str, str]:
    """Remove GPU options, and options that are counted per GPU."""
    return {name: value for name, value in _without_counts(options).items() if "gpu" not in name}


def _without_counts(options: Mapping[str, str]) -> dict[str, str]:
    """Remove GPU options. Other resources in `--gres` stay."""
    kept = {name: value for name, value in options.items() if name not in GPU_OPTIONS}
    if gres := kept.pop("gres", ""):
        kept |= {"gres": rest} if (rest := other_gres(gres, 0)) else {}
    return kept


def _check_options(script: str, options: Mapping[str, str | None]) -> None:
    """
    Raises:
        ConfigError: an option cannot be used, or a required one is removed.
    """
    for name, value in options.items():
        if not NAME.fullmatch(name) or len(name) == 1 or "\n" in (value or ""):
            raise ConfigError(
                f"--sbatch: found {name}{'' if value is None else f'={value}'}, expected a long sbatch option, such as "
                "partition=short"
            )
        if value is None and name in NEEDED:
            raise ConfigError(f"--sbatch {name}=: every job needs --{name}", fix="set another value")
        if name in OF_SBATCH_ITSELF:
            raise ConfigError(
                f"--sbatch {name}: this is an option of the sbatch command, expected an option of the job",
                fix="leave it out",
            )
    if script != "shards" and options.get("array") is not None:
        raise ConfigError(
            f"--array={options['array']}: the {script} script is a single job",
            fix="use a job array (--tasks N) only with --script shards",
        )
    if script not in ONE_MACHINE and (found := [name for name in NOT_PER_NODE if options.get(name)]):
        raise ConfigError(
            f"--{found[0]}={options[found[0]]} (from --sbatch or slurm/site.sh) can give machines different numbers of "
            "processes",
            fix="request the same number on each: --gpus-per-node G, or --processes-per-node P without GPUs",
        )


def _check(submission: Submission) -> None:
    nodes = submission.options.get("nodes", "1")
    if not nodes.isdigit() or int(nodes) < 1:
        raise ConfigError(f"--nodes: found {nodes!r}, expected a whole number of 1 or more")
    per_node = submission.options.get("ntasks-per-node", "1")
    if not per_node.isdigit() or int(per_node) < 1:
        raise ConfigError(f"--processes-per-node: found {per_node!r}, expected a whole number of 1 or more")
    _ = submission.processes_per_node  # raises if they cannot be counted
    if submission.script in ONE_MACHINE and int(nodes) > 1:
        fix = "use more tasks with --tasks N" if submission.script == "shards" else "leave --nodes out"
        raise ConfigError(f"--nodes: found {nodes}, but the {submission.script} script runs on one machine", fix=fix)
    lead = submission.lead_seconds
    if lead is not None and lead >= submission.limit_seconds:
        raise ConfigError(
            f"--time {submission.options['time']}: SLURM's warning {lead} s before the end would come before the start",
            fix=f"increase --time, or use --sbatch signal=B:USR1@{submission.limit_seconds // 3} for a later warning",
        )


def _tag(folder: Path) -> str:
    """Return a folder's name for use in a job's name."""
    return re.sub(r"[^\w.+-]+", "-", folder.resolve().name) or "run"


def _escaped(folder: Path) -> str:
    """Escape a folder's path for an option in which sbatch replaces %x and similar patterns."""
    return str(folder.absolute()).replace("%", "%%")
