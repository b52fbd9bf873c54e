"""A job as it will be submitted: which script, with which options of sbatch and which arguments."""

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
"""What says how many processes a machine starts."""
NOT_PER_NODE = ("gpus", "gpus-per-task", "gpus-per-socket", "ntasks", "ntasks-per-gpu", "tres-per-task")
"""What does not, since SLURM deals it out to machines as it likes."""
NEEDED = ("job-name", "nodes", "output", "time")
OF_SBATCH_ITSELF = ("help", "parsable", "quiet", "test-only", "usage", "verbose", "version", "wait", "wrap")
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
        if per_node := options.get("gpus-per-node"):
            return gpus_of(per_node, "--gpus-per-node")
        return gpus_of_gres(options.get("gres", "")) or int(options.get("ntasks-per-node", "1"))

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
    wanted: Mapping[str, str | None],
    environment: Mapping[str, str],
) -> Submission:
    """Fill in a shipped script.

    Args:
        script: one of `SCRIPTS`.
        arguments: of the script.
        home: the folder that has `slurm/`, in which the job will run.
        about: the folder that the job is about: it names the job, and has its logs in it.
        wanted: options of sbatch; they outrank those of `slurm/site.sh`, and these the script's own. None: is not to
            have it.
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
    if lacking := [name for name in NEEDED if name not in own]:
        raise ConfigError(f"{path}: found no #SBATCH --{lacking[0]}=…, which every job needs", fix="put that line back")
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
    """What a site wants of training jobs, as it suits the script: shards need no GPU, and scoring needs one."""
    if script == "shards":
        return _without_gpus(site)
    if script == "eval":
        few = {
            name: re.sub(r"\d+(,.*)?$", "1", value) if name in GPU_OPTIONS else value for name, value in site.items()
        }
        return few | ({"gres": other_gres(site["gres"], 1)} if site.get("gres") else {})
    return dict(site)


def _without_gpus(options: Mapping[str, str]) -> dict[str, str]:
    """Neither GPUs nor what is asked for with each of them."""
    return {name: value for name, value in _without_counts(options).items() if "gpu" not in name}


def _without_counts(options: Mapping[str, str]) -> dict[str, str]:
    """No GPUs; what else `--gres` names stays."""
    kept = {name: value for name, value in options.items() if name not in GPU_OPTIONS}
    if gres := kept.pop("gres", ""):
        kept |= {"gres": rest} if (rest := other_gres(gres, 0)) else {}
    return kept


def _check_options(script: str, options: Mapping[str, str | None]) -> None:
    """
    Raises:
        ConfigError: one cannot be used, or cannot be left out.
    """
    for name, value in options.items():
        if not NAME.fullmatch(name) or len(name) == 1 or "\n" in (value or ""):
            raise ConfigError(
                f"--sbatch: found {name}{'' if value is None else f'={value}'}, expected a long option of sbatch, such "
                "as partition=short"
            )
        if value is None and name in NEEDED:
            raise ConfigError(f"--sbatch {name}=: every job needs a --{name}", fix="give it another instead of none")
        if name in OF_SBATCH_ITSELF:
            raise ConfigError(f"--sbatch {name}: that is about sbatch itself", fix="expected an option of the job")
    if script != "shards" and options.get("array") is not None:
        raise ConfigError(
            f"--array={options['array']}: the {script} script is one job", fix="--tasks N is of --script shards"
        )
    if script not in ONE_MACHINE and (found := [name for name in NOT_PER_NODE if options.get(name)]):
        raise ConfigError(
            f"--{found[0]}={options[found[0]]} (by --sbatch, or slurm/site.sh) can leave machines with different "
            "numbers of processes",
            fix="ask for the same on each: --gpus-per-node G, or on machines without GPUs --processes-per-node P",
        )


def _check(submission: Submission) -> None:
    nodes = submission.options.get("nodes", "1")
    if not nodes.isdigit() or int(nodes) < 1:
        raise ConfigError(f"--nodes: found {nodes!r}, expected a whole number of 1 or more")
    per_node = submission.options.get("ntasks-per-node", "1")
    if not per_node.isdigit() or int(per_node) < 1:
        raise ConfigError(f"--processes-per-node: found {per_node!r}, expected a whole number of 1 or more")
    _ = submission.processes_per_node  # they can be counted
    if submission.script in ONE_MACHINE and int(nodes) > 1:
        fix = "ask for more tasks with --tasks N" if submission.script == "shards" else "leave --nodes out"
        raise ConfigError(f"--nodes: found {nodes}", fix=f"the {submission.script} script works on one machine, {fix}")
    lead = submission.lead_seconds
    if lead is not None and lead >= submission.limit_seconds:
        raise ConfigError(
            f"--time {submission.options['time']}: SLURM's warning would come {lead} s before the end, and so before "
            "the start",
            fix=f"give more time, or --sbatch signal=B:USR1@{submission.limit_seconds // 3} for a later warning",
        )


def _tag(folder: Path) -> str:
    """A folder's name as a part of a job's."""
    return re.sub(r"[^\w.+-]+", "-", folder.resolve().name) or "run"


def _escaped(folder: Path) -> str:
    """A folder in an option in which sbatch replaces %x and the like."""
    return str(folder.absolute()).replace("%", "%%")
