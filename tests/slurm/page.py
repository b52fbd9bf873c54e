"""docs/slurm.md, the page for a cluster's user: its commands, and a shell to type them in."""

import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "slurm.md"
ROLES = {
    "environment": r"python3 -m venv ",
    "site": r"\$EDITOR ",
    "shards": r"mms-dist submit .* --script shards",
    "debug": r"mms-dist submit .* --script debug",
    "train": r"mms-dist submit (?!.*--script)",
    "train again": r"bash RUN/",
    "train by sbatch": r"sbatch .*slurm/train\.sbatch",
    "site for sbatch": r"source ",
    "status": r"mms-dist status ",
    "rank's log": r"grep ",
    "curves": r"tensorboard ",
    "curves elsewhere": r"ssh ",
    "save and requeue": r"scancel --batch",
    "stop": r"scancel JOB",
    "evaluate": r"mms-dist submit .* --script eval",
    "export": r"mms-dist export ",
    "from a wheel": r"mms-dist init ",
    "machines of two kinds": r"sbatch … : …",
}
"""Every command of the page by what it is for: each must match one of these."""


def read_page() -> str:
    return PAGE.read_text(encoding="utf-8")


def commands_of(page: str) -> list[str]:
    """What the page tells to type.

    In a code block that is what follows `$ `; without such lines, each line, a step's number and its comment apart. In
    the text it is code of several words, unless an option (`--…`) or a directive (`#SBATCH …`) comes first.
    """
    fence = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    commands = []
    for block in fence.findall(page):
        lines = block.splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")] or [re.sub(r"^\d+ +", "", line) for line in lines]
        commands += [re.sub(r"\s{2,}#.*", "", line) for line in typed if line.strip()]
    for code in re.findall(r"`([^`]+)`", fence.sub("", page)):
        words = code.split()
        if len(words) > 1 and not words[0].startswith(("-", "#")):
            commands.append(" ".join(words))
    return commands


def by_role(page: str) -> dict[str, str]:
    """The page's commands by what they are for.

    Raises:
        AssertionError: one is for nothing that is known, so that no test tries it; or two are for the same.
    """
    found: dict[str, str] = {}
    for command in commands_of(page):
        roles = [role for role, pattern in ROLES.items() if re.match(pattern, command)]
        assert len(roles) == 1 and roles[0] not in found, f"{PAGE.name}: no test knows `{command}`"
        found[roles[0]] = command
    assert found.keys() == ROLES.keys(), f"{PAGE.name} has no command any more for {ROLES.keys() - found.keys()}"
    return found


class Shell:
    """One shell on the login node, in which the page is typed."""

    def __init__(self, cluster: Cluster, home: Path, editor: str) -> None:
        """
        Args:
            home: the repository's folder.
            editor: the command that the user's EDITOR is.
        """
        self.home, self.port = home, _free_port()
        self._state = home.parent / "environment.sh"
        outer = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
        self._environment = {name: value for name, value in cluster.environment.items() if name not in outer} | {
            "EDITOR": editor,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "160",
        }

    def toy(self, command: str, names: Mapping[str, str] | None = None) -> str:
        """A command of the page as it is typed here; `names` are what its words in capitals stand for."""
        python, packages = f"python{sys.version_info[0]}.{sys.version_info[1]}", sysconfig.get_path("purelib")
        stands_for = {
            # The packages that mms-dist needs are taken from the environment of these tests, which was made by the
            # same command; pip sees to it that all of them are there.
            "python3 -m venv .venv": f"{sys.executable} -m venv .venv && "
            f"""echo "import sys; sys.path.insert(0, '{packages}')" >.venv/lib/{python}/site-packages/outer.pth""",
            "pip install -e .": "pip install --no-index --no-build-isolation -e .",
            # A cluster of two machines with two CPUs each and no GPU.
            "--tasks 16": "--tasks 2 --sbatch cpus-per-task=1",
            "--nodes 4": "--nodes 2",
            "--nodes=4": "--nodes=2",
            "--script eval": "--script eval --sbatch cpus-per-task=1",
            "--split test": "--split dev",  # the toy recordings are in train and dev
            "sbatch … : …": "sbatch --nodes=1 : --nodes=1 slurm/train.sbatch configs/train/mms-300m.yaml",
            r"\[rank 3\]": r"\[rank 1\]",
            "6006": str(self.port),
            "RUN/": "runs/mms-300m/",
        }
        for real, stands in (stands_for | dict(names or {})).items():
            command = command.replace(real, stands)
        return command

    def type(self, command: str, *, expect: int = 0, **names: str) -> str:
        """What a command of the page prints; what it exports stays for the next one."""
        command = self.toy(command, names)
        state = f"source {self._state}; " if self._state.exists() else ""
        done = subprocess.run(
            ["bash", "-c", f"{state}{command}\nstatus=$?\nexport -p >{self._state}\nexit $status"],
            env=self._environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        assert done.returncode == expect, f"{command}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """The same for a command that does not end by itself."""
        return subprocess.Popen(
            ["bash", "-c", f"source {self._state}; exec {self.toy(command)}"], env=self._environment, cwd=self.home
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
