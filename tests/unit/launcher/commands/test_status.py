"""`mms-dist status` tells of a run's job: while it waits to begin, while it works, and when SLURM has forgotten it."""

import json
import os
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from launcher.cli import main
from launcher.slurm.job import JobRecord, find_job, note, submitted_jobs
from launcher.slurm.submission import prepare
from mms_dist.run_directory.status_file import Status

ROOT = Path(__file__).parents[4]
NOW = datetime.now(UTC).replace(microsecond=0)
JOB = (
    "JobId={number} JobName={name} UserId=speech(1001) GroupId=speech(1001) Priority=1 Nice=0 Account=(null) "
    "QOS=(null) JobState={state} Reason={reason} Dependency=(null) Requeue=1 Restarts={restarts} BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:03:12 TimeLimit=08:00:00 TimeMin=N/A SubmitTime={submitted} "
    "StartTime=2026-11-22T14:02:01 NodeList={nodes} StdErr=/r/logs/a.out StdIn=/dev/null StdOut={log} Power="
)
RUNNING: dict[str, Any] = {"state": "RUNNING", "reason": "None", "nodes": "node[1-4]"}
PENDING: dict[str, Any] = {"state": "PENDING", "reason": "BeginTime", "nodes": ""}
FAILED: dict[str, Any] = {"state": "FAILED", "reason": "NonZeroExitCode", "nodes": "node1"}
ANOTHER: dict[str, Any] = {"restarts": 0, "submitted": NOW + timedelta(hours=1)}
"""What tells a job from one that had its number before."""
RECORD = JobRecord("4711", NOW)


class Scontrol:
    """A stand-in that comes first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "scontrol"
        self._answers: dict[str, str] = {}
        self.forgets()

    def forgets(self, number: str = "4711") -> None:
        self._says(number, "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")

    def tells(self, number: str = "4711", *, submitted: datetime = NOW, **values: Any) -> None:
        """Of the run's job, or of another with the same number; SLURM tells the time of this place."""
        when = submitted.astimezone().strftime("%Y-%m-%dT%H:%M:%S")
        known = {"number": number, "name": "mms-train-toy", "restarts": 2, "submitted": when}
        known["log"] = "/r/my logs/a.out"
        self._says(number, f"[[ $SLURM_TIME_FORMAT == standard ]] && echo '{JOB.format(**(known | values))}'")

    def _says(self, number: str, answer: str) -> None:
        self._answers[number] = answer
        cases = "".join(f"{number})\n{answer}\n;;\n" for number, answer in self._answers.items())
        self.path.write_text(f"#!/bin/bash\ncase $4 in\n{cases}esac\n")
        self.path.chmod(0o755)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scontrol:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return Scontrol(tmp_path / "bin")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run."""
    folder = tmp_path / "runs" / "toy"
    folder.mkdir(parents=True)
    return folder


def submit(run: Path, number: str, script: str = "train", at: datetime = NOW) -> None:
    """What `mms-dist submit` leaves."""
    submission = prepare(script, ["c.yaml"], home=ROOT, folder=run, flags={}, environment={})
    path = run / "logs" / f"{submission.name}-2026-11-22T14-00-{int(number) % 60:02}.sh"
    path.parent.mkdir(exist_ok=True)
    path.write_text(submission.text)
    note(path, script, number, submission.log(number))
    path.write_text(re.sub(r" at [^,]+, log", f" at {at.isoformat()}, log", path.read_text()))


def begin(run: Path, **values: Any) -> None:
    """What an attempt leaves."""
    status = Status(processes=2, attempt=1, stalled=0, steps_at_start=None, host="node01", job="4711")
    status = replace(status, started=NOW.isoformat(), **values)
    (run / "status.json").write_text(json.dumps(asdict(status)))


def told(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    """The screen and the plain values."""
    assert main(["status", str(run)]) == 0
    text = capsys.readouterr().out
    assert main(["status", str(run), "--json"]) == 0
    return text, json.loads(capsys.readouterr().out)


def test_slurm_tells_where_a_job_is_and_where_it_prints(scontrol: Scontrol) -> None:
    scontrol.tells(**RUNNING)
    job = find_job(RECORD)
    assert job.is_at_work
    assert job.line == "4711 RUNNING, 00:03:12 of 08:00:00 on node[1-4]; requeued 2 times"
    assert job.log == Path("/r/my logs/a.out")
    scontrol.tells(**PENDING)
    job = find_job(RECORD)
    assert not job.is_at_work and not job.has_ended
    assert job.line == "4711 PENDING (BeginTime), starts 2026-11-22T14:02:01; requeued 2 times"
    scontrol.forgets()
    assert find_job(RECORD).line == "4711 unknown: SLURM has forgotten it"


@pytest.mark.parametrize(
    ("values", "is_ours"),
    [
        ({"name": "renamed"}, True),
        (ANOTHER, False),
        ({"restarts": 0, "submitted": NOW + timedelta(seconds=5)}, True),  # clocks differ
        ({"restarts": 1, "submitted": NOW + timedelta(hours=1)}, True),  # it was requeued then
    ],
)
def test_a_reused_job_number_is_not_taken_for_ours(scontrol: Scontrol, values: dict[str, Any], is_ours: bool) -> None:
    scontrol.tells(**(RUNNING | values))
    job = find_job(RECORD)
    assert job.is_known == is_ours
    if not is_ours:
        assert "its number now belongs to" in job.line
        assert job.log is None


def test_a_run_whose_job_is_back_in_the_queue_is_not_taken_for_running(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a node has failed the status still says so, and its machine is not this one."""
    begin(run)
    scontrol.tells(**PENDING)
    text, values = told(run, capsys)
    assert values["state"] == "killed"
    assert "killed" in text and "4711 PENDING (BeginTime), starts 2026-11-22T14:02:01" in text
    assert "/r/my logs/a.out" in text
    scontrol.tells(**RUNNING)
    _, values = told(run, capsys)
    assert (values["state"], values["job"]["nodes"], values["job"]["restarts"]) == ("running", "node[1-4]", 2)


def test_what_slurm_does_not_know_says_nothing_about_the_run(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(run)
    scontrol.tells(**(PENDING | ANOTHER))
    text, values = told(run, capsys)
    assert (values["state"], values["job"]["state"]) == ("running", "UNKNOWN")
    assert "4711 unknown: its number now belongs to" in text
    for state in ("finished", "incomplete", "failed", "stalled"):
        begin(run, state=state)
        text, _ = told(run, capsys)
        assert "4711" not in text, state


def test_a_run_that_waits_for_its_first_start_says_so(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(run, "4711")
    scontrol.tells(**PENDING, restarts=0)
    text, values = told(run, capsys)
    assert (values["state"], values["job"]["state"]) == ("not begun", "PENDING")
    assert "not begun" in text and "4711 PENDING (BeginTime), starts 2026-11-22T14:02:01" in text
    assert "; the run waits for it" in text
    assert "mms-dist report" not in text, "there is nothing to report yet"
    scontrol.tells(**RUNNING, restarts=0)
    assert "4711 RUNNING, 00:03:12 of 08:00:00 on node[1-4]; it has not started the run yet" in told(run, capsys)[0]


def test_a_job_that_failed_before_the_run_began_names_its_log(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(run, "4711")
    log = run / "logs" / "mms-train-toy-4711.out"
    scontrol.tells(**FAILED, restarts=0, log=log)
    text, _ = told(run, capsys)
    assert "4711 FAILED (NonZeroExitCode)" in text
    assert "; it ended before the run started, and it printed nothing" in text
    log.write_text("error: no such module\n")
    text, _ = told(run, capsys)
    assert "; it ended before the run started: its log says why" in text
    assert f"log         {log}" in text
    scontrol.forgets()
    text, values = told(run, capsys)
    assert "4711 unknown: SLURM has forgotten it; if it has ended, it ended before the run started: its log" in text
    assert values["job"]["log"] == str(log)


def test_a_job_of_sbatch_itself_is_known_by_its_requeue_file(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "requeue-4711.json").write_text("{}")
    scontrol.tells(**PENDING)
    _, values = told(run, capsys)
    assert (values["state"], values["job"]["state"]) == ("not begun", "PENDING")


def test_a_kept_command_that_someone_has_changed_still_names_its_job(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(run, "4711")
    (script,) = (run / "logs").glob("*.sh")
    script.write_bytes(("# Übung\n" + script.read_text()).encode("cp1252"))
    _, values = told(run, capsys)
    assert (values["state"], values["job"]["number"]) == ("not begun", "4711")
    assert values["job"]["log"] == str(run / "logs" / "mms-train-toy-4711.out")
    scontrol.tells(**PENDING, restarts=0)
    assert told(run, capsys)[1]["job"]["state"] == "PENDING"
    script.write_text(re.sub(r" at [^,]+, log", " at noon, log", script.read_text(errors="replace")))
    assert submitted_jobs(run) == []


def test_a_script_kept_by_an_earlier_version_names_its_job_and_log(run: Path) -> None:
    """Earlier versions kept the batch script itself, and did not note the log."""
    (run / "logs").mkdir()
    script = run / "logs" / "mms-train-toy-2026-11-22T14-02-01.sbatch"
    script.write_text(f"#!/bin/bash\n#SBATCH --requeue\n# Submitted as job 4711 of train at {NOW.isoformat()}\n")
    (job,) = submitted_jobs(run)
    assert (job.record, job.log) == (RECORD, run / "logs" / "mms-train-toy-4711.out")


DONE: dict[str, Any] = {"state": "COMPLETED", "reason": "None", "nodes": "node1"}
DEPENDENT: dict[str, Any] = {"state": "PENDING", "reason": "Dependency", "nodes": "", "restarts": 0}


@pytest.mark.parametrize(
    ("ours", "later", "line"),
    [
        (RUNNING, DEPENDENT, "4711 RUNNING"),
        (RUNNING, RUNNING, "4711 RUNNING"),
        (PENDING, DEPENDENT, "4711 PENDING (BeginTime)"),
        (PENDING, RUNNING, "4800 RUNNING"),
        (DONE, DEPENDENT, "4800 PENDING (Dependency)"),
        (DONE, FAILED, "4800 FAILED"),
        (DONE, None, "4800 unknown"),
        (None, DEPENDENT, "4800 PENDING (Dependency)"),
        (None, FAILED, "4800 FAILED"),
    ],
)
def test_status_shows_the_running_the_next_or_the_last_job(
    scontrol: Scontrol,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    ours: dict[str, Any] | None,
    later: dict[str, Any] | None,
    line: str,
) -> None:
    begin(run)
    submit(run, "4000", at=NOW - timedelta(hours=1))
    submit(run, "4800", at=NOW + timedelta(hours=1))
    for number, values in (("4711", ours), ("4800", later)):
        if values is None:
            scontrol.forgets(number)
        else:
            scontrol.tells(number, **values, log=f"/r/{number}.out")
    text, values = told(run, capsys)
    assert line in text
    assert values["job"]["number"] == line[:4]
    assert values["state"] == ("killed" if ours in (PENDING, DONE) else "running")
    assert values["job"]["log"] in (f"/r/{line[:4]}.out", f"{run}/logs/mms-train-toy-{line[:4]}.out")


def test_jobs_that_do_not_train_and_folders_without_any_are_no_run(
    scontrol: Scontrol, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (run, run / "logs"):
        folder.mkdir(exist_ok=True)
        assert main(["status", str(run)]) == 2
        assert "is not a run" in capsys.readouterr().err
    submit(run, "4710", "debug")
    assert submitted_jobs(run) == []
    assert main(["status", str(run)]) == 2
    assert "is not a run" in capsys.readouterr().err
