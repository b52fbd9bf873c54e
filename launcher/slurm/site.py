"""Read the sbatch options that a site's file, `slurm/site.sh`, sets for every job: partition, account and so on."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mms_dist.errors import ConfigError

PREFIX = "SBATCH_"
OPTIONS = {
    "timelimit": "time",
    "array-inx": "array",
    "mem-per-node": "mem",
    "req-switch": "switches",
}
"""Variables whose names differ from the option's name."""
FLAGS = ("requeue", "no-requeue", "overcommit", "spread-job", "use-min-nodes", "ignore-pbs", "oversubscribe")
"""Options without a value. By sbatch(1), a variable sets one if it is empty, `yes` or a non-zero number."""
MAY_BE_FLAGS = ("exclusive", "no-kill", "get-user-env")
"""Options whose value is optional: an empty variable sets them too."""
OF_SBATCH_ITSELF = ("debug", "wait")
"""Options of the sbatch command, and not of the job."""
LONGEST_WAIT = "wait4switch"
"""A part of `--switches` that has its own variable."""
SECONDS = 20.0
_PRINT = 'set -a; . "$1" >&2 </dev/null && env -0'


def site_options(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return sbatch's options from the `SBATCH_…` variables in a site file and, below these, the user's environment.

    Raises:
        ConfigError: the file is missing, or bash fails in it.
    """
    if not path.is_file():
        raise ConfigError(f"found no {path}", fix="restore the file, which comes with the project")
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
    return options_of_variables({name: value for name, _, value in entries if name.startswith(PREFIX)})


def options_of_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the options that sbatch takes from variables `SBATCH_…`; a flag's value is empty."""
    named = {name.removeprefix(PREFIX).lower().replace("_", "-"): value for name, value in variables.items()}
    longest_wait = named.pop(LONGEST_WAIT, "")
    options: dict[str, str] = {}
    for name, value in named.items():
        option = OPTIONS.get(name, name)
        if option in FLAGS:
            if _is_set(value):
                options[option] = ""
        elif (value or option in MAY_BE_FLAGS) and option not in OF_SBATCH_ITSELF:
            options[option] = value
    if longest_wait and "switches" in options:
        options["switches"] += f"@{longest_wait}"
    return options


def _is_set(value: str) -> bool:
    return value in ("", "yes") or (value.lstrip("-").isdigit() and int(value) != 0)
