"""What a site's one file, `slurm/site.sh`, wants of every job: partition, account and the like."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mms_dist.errors import ConfigError

PREFIX = "SBATCH_"
SPECIAL = {"timelimit": "time", "array-inx": "array", "mem-per-node": "mem"}
"""Where sbatch names a variable otherwise than the option."""
SECONDS = 20.0
_PRINT = 'set -a; . "$1" >&2 </dev/null && env -0'


def site_options(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """sbatch's options from the `SBATCH_…` variables of a site file, over those of the user's environment.

    Raises:
        ConfigError: the file is missing, or bash stops in it.
    """
    if not path.is_file():
        raise ConfigError(f"found no {path}; put the site's file back there, it comes with the project")
    command = ["bash", "--noprofile", "--norc", "-c", _PRINT, "site", str(path)]
    try:
        shell = subprocess.run(command, env=dict(environment), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"{path} was not read within {SECONDS:g} s; keep what is slow out of its top level, in the function that "
            "jobs call"
        ) from error
    if shell.returncode:
        words = shell.stderr.decode(errors="replace").strip()
        raise ConfigError(f"{path} cannot be read, bash says: {words or f'exit status {shell.returncode}'}; mend it")
    entries = (entry.partition("=") for entry in shell.stdout.decode(errors="replace").split("\0"))
    return {_option(name): value for name, _, value in entries if name.startswith(PREFIX) and value}


def _option(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower().replace("_", "-")
    return SPECIAL.get(name, name)
