"""docs/slurm.md, typed on the login node of a real cluster, from nothing to finished adapters.

The commands are taken from that page, and no command of the page is left out. `Shell.toy` lists what stands for what:
two small machines without GPUs for the page's four. Toy recordings and a toy base go by the names of real ones.
"""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.corpus import build_toy_shards
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import LANGUAGES, STEPS, TrainingJob, resume, stand_still
from tests.slurm.page import ROOT, Shell, by_role, read_page

SITE = "s|^# export SBATCH_PARTITION=gpu|export SBATCH_PARTITION=urgent|\n"
"""What the user's editor does to slurm/site.sh: one of its own lines, in use, with a partition of this cluster."""
RUN = "runs/mms-300m"


@pytest.fixture
def home(tmp_path: Path, small_base: Path) -> Path:
    """A clone of the repository with the user's recordings in it; the configuration is the page's, made small."""
    home = tmp_path / "mms-dist"
    for name in ("launcher", "mms_dist", "shards", "slurm", "configs"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home)
    build_toy_shards(tmp_path / "toy", languages=len(LANGUAGES), train=8, dev=2)
    (tmp_path / "toy" / "audio").rename(home / "audio")
    (tmp_path / "toy" / "manifest.tsv").rename(home / "recordings.tsv")
    path = home / "configs" / "train" / "mms-300m.yaml"
    document = yaml.safe_load(path.read_text())
    small = {
        "run": {"device": "cpu", "threads": 1},
        "model": {"base": str(small_base), "dtype": "float32"},
        "data": {"workers": 1},
        "optim": {"steps": STEPS, "batch_seconds": 2},
        "rounds": {"forward_seconds": 12},
        "evaluation": {"every_steps": 100, "forward_seconds": 12},
        "stopping": {"patience": None},
        "checkpoint": {"every_rounds": 25},
    }
    for section, values in small.items():
        document[section] = document[section] | values
    path.write_text(yaml.safe_dump(document))
    return home


@pytest.fixture
def shell(cluster: Cluster, home: Path, tmp_path: Path) -> Shell:
    (tmp_path / "site.sed").write_text(SITE)
    return Shell(cluster, home, editor=f"sed -i -f {tmp_path}/site.sed")


@contextlib.contextmanager
def standing_still(job: TrainingJob) -> Iterator[None]:
    """While it trains, and does not come on: what is typed takes longer than the toy run."""
    (ranks,) = stand_still(job)
    yield
    resume(ranks)


class User:
    """Types the page, and looks what has become of it."""

    def __init__(self, cluster: Cluster, shell: Shell) -> None:
        self.cluster, self.shell, self.home = cluster, shell, shell.home

    def submit(self, command: str, **names: str) -> TrainingJob:
        told = self.shell.type(command, **names)
        number = re.search(r"(?:submitted: job|Submitted batch job) (\d+)", told)
        assert number, told
        return TrainingJob(self.cluster, number[1], self.home / RUN)

    def submit_and_wait(self, command: str, *, state: str = "COMPLETED") -> str:
        """The log of a job, once it has ended like that."""
        job = self.submit(command)
        # Of an array SLURM reports the task that waits or has run last; all must have ended.
        self.cluster.wait_until(lambda: not self.cluster.run("squeue", "-h", "-j", job.number), job.number)
        text = "".join(log.read_text() for log in sorted(self.home.glob(f"**/mms-*-{job.number}*.out")))
        found = self.cluster.job(job.number)
        assert (found["JobState"], found["Partition"]) == (state, "urgent"), text
        return text


@pytest.mark.slow
@pytest.mark.timeout(900)  # some ten jobs
def test_the_page_leads_from_nothing_to_finished_adapters(cluster: Cluster, shell: Shell, home: Path) -> None:
    page, user = by_role(read_page()), User(cluster, shell)

    shell.type(page.pop("environment"))
    assert shell.type("command -v mms-dist").strip() == str(home / ".venv" / "bin" / "mms-dist")
    assert "copied 0 files" in shell.type(page.pop("from a wheel")), "a clone has them already"
    shell.type(page.pop("site"))

    log = user.submit_and_wait(page.pop("shards"))
    assert "building ta" in log, log
    assert sorted(path.parent.name for path in home.glob("corpus/*/index.json")) == LANGUAGES

    log = user.submit_and_wait(page.pop("debug"))
    assert "2 processes on 2 machines" in log and " passed, 0 failed in" in log, log

    train = page.pop("train")
    told = shell.type(f"{train} --dry-run")
    assert "--time=8:00:00" in told and "export SBATCH_PARTITION=urgent" in told
    job = user.submit(train)
    with standing_still(job):
        told = shell.type(page["status"])
        assert "running, 2 processes" in told and f"{job.number} RUNNING" in told, told
        shell.type(page["stop"], JOB=job.number)
    assert cluster.wait_for_end(job.number)["JobState"] == "CANCELLED"

    (script,) = (home / RUN / "logs").glob("mms-train-*.sh")
    job = user.submit(page.pop("train again"), **{"SCRIPT.sh": script.name})
    assert cluster.job(job.number)["Partition"] == "urgent"
    with standing_still(job):
        shell.type(page.pop("save and requeue"), JOB=job.number)
    cluster.wait_for_requeue(job.number, 1)
    assert cluster.wait_for_end(job.number)["JobState"] == "COMPLETED", job.log
    assert "[rank 0] resumed" in job.log

    told = shell.type(page["status"])
    assert "finished, 2 processes" in told and "3 done" in told, told
    assert f"{job.number} COMPLETED" in told and "requeued once" in told, told
    values = json.loads(shell.type(f"{page.pop('status')} --json"))
    assert (values["state"], values["steps"], values["job"]["number"]) == ("finished", 3 * STEPS, job.number)

    lines = shell.type(page.pop("rank's log")).splitlines()
    assert lines and all("[rank 1] " in line for line in lines)
    assert_seen_in_a_browser(shell, page.pop("curves"), page.pop("curves elsewhere"))

    log = user.submit_and_wait(page.pop("evaluate"))
    assert sorted(json.loads((home / RUN / "eval" / "dev.json").read_text())["languages"]) == LANGUAGES, log
    shell.type(page.pop("export"))
    assert all((home / RUN / "export" / f"adapter.{code}.safetensors").is_file() for code in LANGUAGES)

    (home / RUN).rename(home / "runs" / "first")
    shell.type(page.pop("site for sbatch"))
    job = user.submit(page.pop("train by sbatch"))
    with standing_still(job):
        found = cluster.job(job.number)
        assert (found["Partition"], found["NumNodes"]) == ("urgent", "2")
        assert yaml.safe_load((home / RUN / "config.yaml").read_text())["optim"]["lr"] == 5e-4
        shell.type(page.pop("stop"), JOB=job.number)
    assert cluster.wait_for_end(job.number)["JobState"] == "CANCELLED"

    log = user.submit_and_wait(page.pop("machines of two kinds"), state="FAILED")
    assert "this is a heterogeneous job of 2 components" in log, log
    assert not page, "every command of it has been tried"


def assert_seen_in_a_browser(shell: Shell, tensorboard: str, ssh: str) -> None:
    """What the browser asks TensorBoard is answered. There is nobody to log in as from another machine: of that command
    only the ports are looked at, and that ssh understands it."""
    with shell.start(tensorboard) as server:
        try:
            found = answer(f"http://localhost:{shell.port}/data/plugin/scalars/tags", server)
        finally:
            server.terminate()
    assert set(found) == {"system", *LANGUAGES}
    assert "lang/taa/cer" in found["taa"]
    assert re.fullmatch(rf"ssh -N -L ({shell.port}):localhost:\1 \S+@\S+", shell.toy(ssh))
    if shutil.which("ssh"):
        words = shlex.split(shell.toy(ssh))
        told = shell.type(shlex.join([words[0], "-G", "-F", "/dev/null", *words[1:]]))
        assert f"localforward {shell.port} [localhost]:{shell.port}" in told, told


def answer(url: str, server: "subprocess.Popen[bytes]") -> Any:
    """What a server says, as soon as it is there."""
    for _ in range(1_200):
        assert server.poll() is None, f"it ended with {server.returncode}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=60) as told:
            return json.load(told)
        time.sleep(0.1)
    raise AssertionError(f"{url} has not answered for two minutes")


def test_a_command_of_the_page_that_no_test_tries_is_noticed() -> None:
    page = read_page()
    for new in (
        "`sinfo --long`",
        "```\n$ mms-dist doctor CONFIG\nok\n```",
        "```\nmms-dist report runs/x   # text\n```",
    ):
        with pytest.raises(AssertionError, match="no test knows"):
            by_role(f"{page}\n{new}\n")
    with pytest.raises(AssertionError, match=r"no command any more for \{'stop'\}"):
        by_role(page.replace("`scancel JOB`", "that"))
