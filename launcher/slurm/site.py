"""The sbatch variables that a site's file, `slurm/site.sh`, sets for every job, adapted to one job.

sbatch reads `SBATCH_…` variables itself: they override a script's `#SBATCH` lines, and its command line overrides them.
A site's settings, GPUs above all, are meant for training. So they are left out for jobs that do not need them.
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.slurm.environment import GPU_RESOURCE
from mms_dist.errors import ConfigError

PREFIX = "SBATCH_"
COUNTS = ("SBATCH_GPUS", "SBATCH_GPUS_PER_NODE", "SBATCH_GPUS_PER_TASK")
"""Variables that set the number of GPUs, besides `SBATCH_GRES`."""
SECONDS = 20.0
_PRINT = 'set -a; . "$1" >&2 </dev/null && env -0'


def read_site(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the `SBATCH_…` variables of a site file and, below these, of the user's environment.

    Raises:
        ConfigError: the file is missing, or bash fails in it.
    """
    if not path.is_file():
        raise ConfigError(f"{path} does not exist", fix="restore the file, which comes with the project")
    command = ["bash", "--noprofile", "--norc", "-c", _PRINT, "site", str(path)]
    try:
        shell = subprocess.run(command, env=dict(environment), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"bash did not finish reading {path} within {SECONDS:g} s",
            fix="move slow commands from its top level into site_setup, which only jobs call",
        ) from error
    if shell.returncode:
        message = shell.stderr.decode(errors="replace").strip()
        raise ConfigError(
            f"bash fails in {path}: {message or f'exit status {shell.returncode}'}", fix="correct the file"
        )
    entries = (entry.partition("=") for entry in shell.stdout.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in entries if name.startswith(PREFIX)}


def site_for(script: str, site: Mapping[str, str], flags: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that suit a script and the user's own flags.

    Building shards and training with `--ntasks-per-node` need no GPU, scoring and transcribing need one, and flags that
    count the GPUs of a machine replace all counts of the site. The memory of a whole machine is for training alone.
    """
    if script == "shards":
        return _without(("GPU", "MEM_PER_NODE"), site, gpus=0)
    if script in ("eval", "transcribe"):  # sbatch takes either CPUs per GPU or the script's --cpus-per-task
        few = {name: re.sub(r"\d+(,.*)?$", "1", value) if name in COUNTS else value for name, value in site.items()}
        return _without(("CPUS_PER_GPU", "MEM_PER_NODE"), few, gpus=1)
    if "ntasks-per-node" in flags:
        return _without(("GPU",), site, gpus=0)
    if "gpus-per-node" in flags or "gres" in flags:
        return _without(COUNTS, site, gpus=0)
    return dict(site)


def _without(parts: Sequence[str], site: Mapping[str, str], *, gpus: int) -> dict[str, str]:
    """Leave out the variables whose names contain one of the parts, and change the number of GPUs in `SBATCH_GRES`."""
    kept = {name: value for name, value in site.items() if not any(part in name for part in parts)}
    resources = change_gres(kept.pop("SBATCH_GRES", ""), gpus)
    return kept | ({"SBATCH_GRES": resources} if resources else {})


def change_gres(text: str, gpus: int) -> str:
    """Return a `--gres` list with `gpus` GPUs of the first kind that it names, and everything else unchanged.

    With `gpus` 0 all GPUs are removed.
    """
    parts: list[str] = []
    for part in text.split(","):
        match = GPU_RESOURCE.fullmatch(part.strip())
        if match is None:
            parts.append(part)
        elif gpus:
            parts.append(":".join(["gpu", *([match["kind"]] if match["kind"] else []), str(gpus)]))
            gpus = 0
    return ",".join(parts)
