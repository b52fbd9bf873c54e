"""What a site's one file, `slurm/site.sh`, wants of every job: partition, account and the like."""

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
"""Where sbatch names a variable otherwise than the option."""
FLAGS = ("requeue", "no-requeue", "overcommit", "spread-job", "use-min-nodes", "ignore-pbs", "oversubscribe")
"""Options that have no value. As sbatch(1) has it, a variable sets one if it is empty, `yes` or a number but 0."""
MAY_BE_FLAGS = ("exclusive", "no-kill", "get-user-env")
"""Options whose value may be left out: an empty variable sets them too."""
OF_SBATCH_ITSELF = ("debug", "wait")
"""What it does, and not the job."""
LONGEST_WAIT = "wait4switch"
"""A part of `--switches` that has a variable of its own."""
SECONDS = 20.0
_PRINT = 'set -a; . "$1" >&2 </dev/null && env -0'


def site_options(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """sbatch's options from the `SBATCH_…` variables of a site file, over those of the user's environment.

    Raises:
        ConfigError: the file is missing, or bash stops in it.
    """
    if not path.is_file():
        raise ConfigError(f"found no {path}", fix="put the site's file back there, it comes with the project")
    command = ["bash", "--noprofile", "--norc", "-c", _PRINT, "site", str(path)]
    try:
        shell = subprocess.run(command, env=dict(environment), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"{path} was not read within {SECONDS:g} s",
            fix="keep what is slow out of its top level, in the function that jobs call",
        ) from error
    if shell.returncode:
        words = shell.stderr.decode(errors="replace").strip()
        raise ConfigError(
            f"{path} cannot be read, bash says: {words or f'exit status {shell.returncode}'}", fix="fix it"
        )
    entries = (entry.partition("=") for entry in shell.stdout.decode(errors="replace").split("\0"))
    return options_of_variables({name: value for name, _, value in entries if name.startswith(PREFIX)})


def options_of_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """sbatch's options from variables `SBATCH_…`, as sbatch understands them; the value of a mere flag is empty."""
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
