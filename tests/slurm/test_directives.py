"""`#SBATCH` lines mean to `mms-dist submit` what they mean to sbatch, and sbatch reads those it writes as meant."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from launcher.cli import main
from launcher.slurm.job import Trace, find_job
from launcher.slurm.script import options_of, render
from launcher.slurm.submission import prepare
from launcher.slurm.time_limit import limit_seconds
from mms_dist.errors import ConfigError
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
LINES = [
    "#SBATCH --time=24:00:00",
    "#SBATCH --time 24:00:00",
    "#SBATCH --time=24:00:00   # a day",
    "#SBATCH --time=24:00:00# a day",
    "#SBATCH -t 24:00:00 -p urgent",
    "#SBATCH -purgent -J toy -N1 --comment=x",
    "#SBATCH -H --comment='it is' -c 2",
    "#SBATCH -Jtoy\n#SBATCH\t--job-name=two --exclusive -N 2",
    "#SBATCH --comment=one\n#SBATCH --comment=two",
    r'#SBATCH --comment="a\xb" --job-name=a\"b',
    r"#SBATCH --comment='a\'b # c'",
    r"#SBATCH --comment=a\#b --requeue",
    "#SBATCH --comment=a\\",
    "#SBATCH--comment=close",
    "  # indented\n#SBATCH --comment=below",
    "  #SBATCH --comment=indented",
    "#SBATCH # --comment=none",
    "true\n#SBATCH --comment=late",
]
NO_LINES = [
    "#SBATCH now",
    "#SBATCH -H now",
    "#SBATCH -Z 5",
    "#SBATCH --time = 5",
    r"#SBATCH --comment=a\ b",
    '#SBATCH --comment="open',
    "#SBATCH : --hold",
]
VALUES = ["a#b", 'say "hi"', "it's", r"back\slash", " $HOME `x` ", "ü"]


def _job(cluster: Cluster, script: str, folder: Path) -> str:
    path = folder / "script.sbatch"
    path.write_text(script)
    return cluster.submit("--begin=now+1hour", str(path))


def _told(cluster: Cluster, job: str) -> list[str]:
    """What squeue tells of a job's name, partition, time, nodes, processors and comment."""
    return cluster.run("squeue", "--noheader", "--jobs", job, "--format=%j|%P|%l|%D|%c|%k").split("|")


def _script(lines: str) -> str:
    return f"#!/bin/bash\n#SBATCH --output=/dev/null\n{lines}\ntrue\n"


@pytest.mark.parametrize("lines", LINES)
def test_a_line_means_what_it_means_to_sbatch(cluster: Cluster, tmp_path: Path, lines: str) -> None:
    options = options_of(_script(lines))
    told = _told(cluster, _job(cluster, _script(lines), tmp_path))
    name, partition, time, nodes, processors, comment = told
    assert options.get("job-name", "script.sbatch") == name
    assert options.get("partition", "all") == partition
    assert "time" not in options or limit_seconds(options["time"]) == limit_seconds(time)
    assert ("time" not in options) == (time == "UNLIMITED")
    assert options.get("nodes", "1") == nodes
    assert options.get("cpus-per-task", "1") == processors
    assert options.get("comment", "(null)") == comment
    again = _job(cluster, render(_script(lines), {}, []), tmp_path)
    assert _told(cluster, again) == told, "as it is written down anew"


@pytest.mark.parametrize("lines", NO_LINES)
def test_a_line_that_sbatch_refuses_is_refused_by_name(cluster: Cluster, tmp_path: Path, lines: str) -> None:
    with pytest.raises(AssertionError, match="sbatch: "):
        _job(cluster, _script(lines), tmp_path)
    with pytest.raises(ConfigError, match=r"batch script: .* in the line '#SBATCH") as refusal:
        options_of(_script(lines))
    assert repr(lines) in str(refusal.value)


@pytest.mark.parametrize("value", VALUES)
def test_any_value_survives_the_script(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """In a comment, and in the name of the run's folder."""
    monkeypatch.setenv("SLURM_CONF", cluster.environment["SLURM_CONF"])
    about = tmp_path / value
    submission = prepare("train", ["c"], home=ROOT, about=about, wanted={"comment": value}, environment={})
    job = _job(cluster, submission.text, tmp_path)
    found = find_job(Trace(job, datetime.now(UTC)))
    assert found.log == submission.log(job) == about / "logs" / f"{submission.name}-{job}.out"
    assert cluster.run("squeue", "--noheader", "--jobs", job, "--format=|%k|").strip() == f"|{value}|"


def test_an_edited_shipped_script_is_submitted_or_its_bad_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "slurm" / "train.sbatch").read_text()
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "site.sh").write_text("")
    script = tmp_path / "slurm" / "train.sbatch"

    def prepared(**wanted: str | None) -> dict[str, str]:
        about = tmp_path / "runs" / "toy"
        return prepare("train", ["c"], home=tmp_path, about=about, wanted=wanted, environment={}).options

    script.write_text(text.replace("--time=24:00:00", "-t 24:00:00 -p gpu  # a day\n#SBATCH -A speech"))
    options = prepared()
    assert (options["time"], options["partition"], options["account"]) == ("24:00:00", "gpu", "speech")
    options = prepared(partition="short", account=None)
    assert options["partition"] == "short" and "account" not in options
    script.write_text(text.replace("--time=24:00:00", "time=24:00:00"))
    with pytest.raises(ConfigError, match="#SBATCH time=24:00:00"):
        prepared()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text("run: {directory: runs/toy}\n")
    assert main(["submit", "toy.yaml", "--no-preflight", "--dry-run"]) == 2
    assert "'#SBATCH time=24:00:00', expected long sbatch options" in capsys.readouterr().err
    script.write_text(text.replace("#SBATCH --output", "# --output"))
    with pytest.raises(ConfigError, match=r"train\.sbatch: found no #SBATCH --output=…"):
        prepared()
