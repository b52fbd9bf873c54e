"""What becomes of a job when its run has ended, and how many machines' worth of ends it takes to say so."""

import contextlib
import json
import runpy
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from launcher.slurm import batch, node
from launcher.slurm.outcome import outcome_since
from launcher.slurm.requeue import STOPS_PER_FAILURE, Action, JobProgress, decide, read_progress, write_progress
from mms_dist.errors import ExitCode, IncompleteError, StalledError, TrainingError
from mms_dist.run_directory.status_file import Status
from mms_dist.run_directory.status_file import begin as begin_attempt

ALLOWED = 3
RUN = Status(processes=2, attempt=1, stalled=0, steps_at_start=0, round=7, steps=21, restored=True, job=None)
BAD = replace(RUN, restart=False, exit_code=65, reason="ron is in quarantine", quarantined=["ron"])
JOB = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("outcome", "warned", "restarts", "action", "exit_code", "words"),
    [
        (replace(RUN, state="finished"), False, 0, Action.DONE, 0, "every language is done"),
        (replace(RUN, state="finished"), True, 99, Action.DONE, 0, "every language is done"),
        (replace(RUN, state="preempted"), True, 0, Action.REQUEUE, 75, "after round 7"),
        (replace(RUN, state="preempted"), False, ALLOWED, Action.REQUEUE, 75, "after round 7"),
        (
            replace(RUN, state="preempted", round=None, restored=False),
            True,
            0,
            Action.REQUEUE,
            75,
            "before its first",
        ),
        (replace(RUN, state="preempted"), True, ALLOWED * STOPS_PER_FAILURE, Action.GIVE_UP, 1, "no step"),
        (
            replace(RUN, state="failed", restart=True, reason="disk full"),
            False,
            2,
            Action.REQUEUE,
            75,
            "disk full",
        ),
        (
            replace(RUN, state="failed", restart=True, reason="disk full"),
            False,
            99,
            Action.REQUEUE,
            75,
            "disk full",
        ),
        (
            replace(RUN, state="failed", restart=False, exit_code=2, reason="no base"),
            True,
            0,
            Action.GIVE_UP,
            2,
            "no base",
        ),
        (
            replace(RUN, state="stalled", restart=False, exit_code=70, reason="same"),
            False,
            0,
            Action.GIVE_UP,
            70,
            "same",
        ),
        (replace(BAD, state="incomplete"), False, 0, Action.GIVE_UP, 65, "ron is in quarantine"),
        (
            replace(BAD, state="incomplete"),
            True,
            0,
            Action.GIVE_UP,
            65,
            "ron is in quarantine",
        ),  # warned at its end
        (replace(BAD, state="failed"), True, 0, Action.GIVE_UP, 65, "ron is in quarantine"),
        (replace(RUN, state="running"), False, 0, Action.REQUEUE, 75, "killed, or a machine went down"),
        (replace(RUN, state="running"), True, 0, Action.REQUEUE, 75, "before it had saved"),
        (replace(RUN, state="running"), False, 99, Action.REQUEUE, 75, "killed, or a machine went down"),
        (None, True, ALLOWED, Action.REQUEUE, 75, "stopped before the run started"),
        (None, False, 0, Action.REQUEUE, 75, "it ended before the run started"),
        (None, False, ALLOWED, Action.GIVE_UP, 1, "no step"),
    ],
)
def test_the_runs_own_word_and_its_progress_decide(
    outcome: Status | None, warned: bool, restarts: int, action: Action, exit_code: int, words: str
) -> None:
    decision = decide(outcome, warned=warned, refusal=None, restarts_without_step=restarts, allowed=ALLOWED)
    assert (decision.action, decision.exit_code) == (action, exit_code)
    assert words in decision.reason


@pytest.mark.parametrize(
    ("outcome", "warned", "action"),
    [
        (None, False, Action.GIVE_UP),
        (None, True, Action.REQUEUE),  # it was stopped while it began, whatever else was wrong
        (replace(RUN, state="preempted"), False, Action.REQUEUE),  # the run's own word comes first
        (replace(RUN, state="finished"), False, Action.DONE),
    ],
)
def test_a_mistake_found_on_the_machines_before_the_run_is_not_requeued(
    outcome: Status | None, warned: bool, action: Action
) -> None:
    decision = decide(outcome, warned=warned, refusal="GPUs to ask for", restarts_without_step=0, allowed=ALLOWED)
    assert decision.action == action
    assert action is not Action.GIVE_UP or (decision.exit_code == 2 and "GPUs to ask for" in decision.reason)


@pytest.mark.parametrize("state", ["running", "preempted"])
def test_no_number_of_restarts_is_too_many_where_none_is_set(state: str) -> None:
    assert (
        decide(replace(RUN, state=state), warned=False, refusal=None, restarts_without_step=999, allowed=0).action
        == Action.REQUEUE
    )


def test_only_restarts_that_bring_no_step_count() -> None:
    progress = JobProgress.after(None, job=12, restarts=0, steps=0)
    assert progress.restarts_without_step(0) == 0
    progress = JobProgress.after(progress, job=12, restarts=1, steps=0)
    progress = JobProgress.after(progress, job=12, restarts=2, steps=0)
    assert progress.restarts_without_step(2) == 2
    progress = JobProgress.after(progress, job=12, restarts=3, steps=5)
    assert progress.restarts_without_step(3) == 0
    progress = JobProgress.after(progress, job=12, restarts=4, steps=5)
    assert progress.restarts_without_step(4) == 1
    for restarts in (0, 9):
        other = JobProgress.after(progress, job=13, restarts=restarts, steps=5)
        assert other.restarts_without_step(restarts) == 0, "another job begins anew"


def test_progress_is_kept_between_restarts(tmp_path: Path) -> None:
    assert read_progress(tmp_path, 12) is None
    write_progress(tmp_path, JobProgress(12, 5, 3))
    write_progress(tmp_path, JobProgress(13, 0, 0))
    assert read_progress(tmp_path, 12) == JobProgress(12, 5, 3), "another job on the same run does not reset it"
    (tmp_path / "requeue-12.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"requeue-12\.json"):
        read_progress(tmp_path, 12)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a run, in a job."""
    (tmp_path / "config.yaml").write_text(f"run: {{directory: {tmp_path}/run}}\nmodel: {{base: tiny-mms}}\n")
    (tmp_path / "run").mkdir()
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "run"


def begin(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert batch.main(["begin", str(run.parent / "config.yaml")]) == 0
    return capsys.readouterr().out.strip()


def end(run: Path, before: str, *options: str) -> int:
    return batch.main(["end", "--before", before, *options, str(run.parent / "config.yaml"), "--optim.lr", "1e-3"])


def write(run: Path, status: Status) -> None:
    (run / "status.json").write_text(json.dumps(asdict(status)))


def test_the_end_of_an_earlier_attempt_is_not_taken_for_this_ones(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(run, replace(RUN, state="finished"))
    before = begin(run, capsys)
    assert end(run, before) == 75, "nothing has begun since"
    write(run, replace(RUN, state="finished", attempt=2))
    assert end(run, before) == 0


@pytest.mark.parametrize("script", ["", "/var/spool/slurmd/job00012/slurm_script", "#SBATCH --nodes=2"])
def test_a_job_whose_warning_is_not_known_begins_and_says_so(
    run: Path, capsys: pytest.CaptureFixture[str], script: str
) -> None:
    """The path is of a script that was filled in when it was still asked for: a container does not see it."""
    assert batch.main(["begin", "--script", script, str(run.parent / "config.yaml")]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) is None
    assert len([line for line in told.err.splitlines() if "found no #SBATCH --signal=…" in line]) == 1


def test_a_known_warning_is_not_mentioned_before_a_measurement(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.main(["begin", "--script", "#SBATCH --signal=B:USR1@600", str(run.parent / "config.yaml")]) == 0
    assert "--signal" not in capsys.readouterr().err


def test_what_another_job_says_of_the_run_is_not_taken_for_this_ones(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs on one run: the one that has it ends, while the other has not come so far as to begin."""
    before = begin(run, capsys)
    write(run, replace(RUN, state="finished", job="11"))
    assert outcome_since(run, None) is None
    assert end(run, before) == 75
    assert node.exit_status(run, None, 9) == 9, "the launcher's own word"
    write(run, replace(RUN, state="finished", job="12"))
    assert outcome_since(run, None) is not None
    assert end(run, before) == 0
    write(run, replace(RUN, state="finished", job="11"))
    monkeypatch.delenv("SLURM_JOB_ID")
    assert outcome_since(run, None) is not None, "outside of a job there is none to compare with"


def test_a_job_gives_up_after_starts_that_never_open_the_run(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that the run had before the job are no progress of the job."""
    write(run, replace(RUN, steps=12))
    codes = []
    for restarts in range(5):
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
        codes.append(end(run, begin(run, capsys)))
    assert codes == [75, 75, 75, 1, 1], "the run's own run.stalled_restarts is 3"


def test_the_run_itself_counts_restarts_after_failures(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []
    for restarts in range(4):
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
        before = begin(run, capsys)
        with contextlib.suppress(StalledError):
            begin_attempt(run, processes=2, automatic=restarts > 0, allowed=ALLOWED)  # and is killed
        codes.append(end(run, before))
    assert codes == [75, 75, 75, 70]


@pytest.mark.parametrize("state", ["incomplete", "failed"])
@pytest.mark.parametrize("options", [[], ["--warned"]])
def test_a_job_with_languages_in_quarantine_ends_with_65(
    run: Path, capsys: pytest.CaptureFixture[str], state: str, options: list[str]
) -> None:
    before = begin(run, capsys)
    write(run, replace(BAD, state=state))
    assert end(run, before, *options) == 65
    assert "give up: ron is in quarantine" in capsys.readouterr().err


def test_a_job_that_slurm_starts_again_after_such_an_end_gives_up_again(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(run, replace(BAD, state="incomplete"))
    (run / "adapters" / "ron").mkdir(parents=True)
    (run / "adapters" / "ron" / "QUARANTINED.json").write_text("{}")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    before = begin(run, capsys)
    with pytest.raises(IncompleteError):
        begin_attempt(run, processes=2, automatic=True, allowed=ALLOWED)
    assert end(run, before) == 65


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (65, 0), (75, 0), (1, 1), (2, 2), (70, 70), (130, 130)])
def test_an_orderly_end_of_a_rank_is_no_failure_to_its_launcher(
    monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    left = []
    monkeypatch.setattr("launcher.cli.main", lambda arguments: status)
    monkeypatch.setattr("launcher.process_exit.exit_process", left.append)
    runpy.run_module("launcher.slurm.rank", run_name="__main__")
    assert left == [expected]


def test_a_wrong_configuration_is_for_a_person(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.main(["begin", str(run.parent / "config.yaml"), "--optim.lrr", "1"]) == 2
    assert "optim.lrr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "exit_code", "expected"),
    [
        ("finished", 0, 0),
        ("preempted", 75, 0),
        ("incomplete", 65, 0),
        ("failed", 65, 65),
        ("failed", 2, 2),
        ("stalled", 70, 70),
    ],
)
def test_a_machine_ends_as_the_run_did(run: Path, state: str, exit_code: int, expected: int) -> None:
    write(run, replace(RUN, state=state, exit_code=exit_code))
    assert node.exit_status(run, None, 1) == expected


def test_a_machine_waits_for_the_last_words_of_rank_0_elsewhere(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run, RUN)
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        write(run, replace(RUN, state="preempted", exit_code=75))

    monkeypatch.setattr(node, "sleep", wait)
    assert node.exit_status(run, None, 1) == 0
    assert len(waited) == 1


def test_a_machine_does_not_wait_for_ever(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run, RUN)
    monkeypatch.setattr(node, "OUTCOME_SECONDS", 0.0)
    assert node.exit_status(run, None, 1) == 1, "rank 0 was killed, and has no last words"
    assert node.exit_status(run, RUN, 9) == 9, "nothing has begun: the launcher itself failed"


def test_the_scripts_have_the_exit_statuses_of_the_product() -> None:
    text = (Path(__file__).parents[4] / "slurm" / "lib.sh").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("readonly EXIT_"))
    found = dict(word.split("=") for word in line.removeprefix("readonly ").split())
    assert found == {"EXIT_USER": str(int(ExitCode.USER_ERROR)), "EXIT_REQUEUE": str(int(ExitCode.PREEMPTED))}
