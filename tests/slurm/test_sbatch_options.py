"""sbatch itself ranks the options of `mms-dist submit`: command line, then variables, then the script's own lines."""

import shutil
from pathlib import Path

import pytest

from launcher.slurm.job import find_job, submitted_jobs
from launcher.slurm.sbatch import ask_sbatch, submit
from launcher.slurm.submission import Submission, prepare
from mms_dist.errors import ConfigError
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "slurm", tmp_path / "home" / "slurm")
    return tmp_path / "home"


def prepared(home: Path, folder: str = "run", site: str = "", **flags: str) -> Submission:
    (home / "slurm" / "site.sh").write_text(site)
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return prepare("train", ["c"], home=home, folder=home / folder, flags=named, environment={})


def test_the_command_line_ranks_before_variables_before_the_script(cluster: Cluster, home: Path) -> None:
    site = "SBATCH_TIMELIMIT=90 SBATCH_PARTITION=urgent SBATCH_SIGNAL=B:USR1@300"
    request = ask_sbatch(prepared(home, site=site), cluster.environment)
    assert (request.time, request.limit_seconds, request.signal) == ("01:30:00", 5400, "B:USR1@300")
    assert (request.nodes, request.processes_per_node, request.can_start) == (1, 1, True)
    assert request.message.startswith("would start it at 20") and "in partition urgent" in request.message
    request = ask_sbatch(prepared(home, site=site, time="1-0", nodes="2", ntasks_per_node="2"), cluster.environment)
    assert (request.time, request.nodes, request.processes_per_node) == ("1-00:00:00", 2, 2)
    script = home / "slurm" / "train.sbatch"
    script.write_text(script.read_text().replace("--time=24:00:00", "-t 8:00:00 -p cancelling  # a day"))
    request = ask_sbatch(prepared(home), cluster.environment)
    assert request.time == "08:00:00" and "in partition cancelling" in request.message


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"time": "tomorrow"}, "Invalid --time specification"),
        ({"Partition": "short"}, "unrecognized option"),
        ({"mem_per_gpu": "9G"}, "mutually exclusive"),
    ],
)
def test_what_sbatch_does_not_understand_is_refused_in_its_words(
    cluster: Cluster, home: Path, flags: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        submit(prepared(home, **flags), cluster.environment)
    if "mem_per_gpu" not in flags:
        with pytest.raises(ConfigError, match=words):
            ask_sbatch(prepared(home, **flags), cluster.environment)
    assert not cluster.run("squeue", "-h")


@pytest.mark.parametrize("value", ["a#b", 'say "hi"', "it's", r"back\slash", " $HOME `x` ", "ü"])
def test_any_value_reaches_slurm_as_it_was_given(
    cluster: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """In a comment, and in the name of the run's folder."""
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    submission = prepared(home, value, comment=value, begin="now+1hour")
    job = submit(submission, cluster.environment)
    (submitted,) = submitted_jobs(home / value)
    found = find_job(submitted.record)
    assert found.number == job
    assert found.log == submitted.log == home / value / "logs" / f"{submission.name}-{job}.out"
    assert cluster.run("squeue", "--noheader", "--jobs", job, "--format=|%k|").strip() == f"|{value}|"
    cluster.run("scancel", job)


def test_variables_of_a_site_for_shared_machines_override_the_script(cluster: Cluster, home: Path) -> None:
    site = "SBATCH_EXCLUSIVE=oversubscribe SBATCH_MEM_PER_NODE=100 SBATCH_NO_REQUEUE="
    job = submit(prepared(home, site=site, begin="now+1hour"), cluster.environment)
    found = cluster.job(job)
    assert (found["OverSubscribe"], found["MinMemoryNode"], found["Requeue"]) == ("YES", "100M", "0")
    cluster.run("scancel", job)
    job = submit(prepared(home, site=site, begin="now+1hour", requeue=""), cluster.environment)
    assert cluster.job(job)["Requeue"] == "1"
    cluster.run("scancel", job)


def test_the_kept_command_submits_the_same_job_again(cluster: Cluster, home: Path) -> None:
    first = submit(prepared(home, site="SBATCH_TIMELIMIT=90", begin="now+1hour", comment="a b"), cluster.environment)
    (script,) = (home / "run" / "logs").glob("*.sh")
    (home / "slurm" / "site.sh").write_text("SBATCH_TIMELIMIT=5")
    environment = {"SBATCH_TIMELIMIT": "7"}
    again = cluster.run("bash", str(script), environment=environment).removeprefix("Submitted batch job ")
    same = ("JobName", "TimeLimit", "WorkDir", "Command")
    assert [cluster.job(again)[name] for name in same] == [cluster.job(first)[name] for name in same]
    cluster.run("scancel", first, again)
