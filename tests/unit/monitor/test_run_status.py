"""`mms-dist status` tells how a run is doing from its files: at work, stopped, killed, failed, stalled or done."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from launcher.cli import main
from mms_dist.config import Config
from mms_dist.config.load import configured_steps, write_config
from mms_dist.config.schema import Optim
from mms_dist.monitor.events import EventLog
from mms_dist.monitor.metrics_log import read_metrics
from mms_dist.monitor.run_status import read_run_status
from mms_dist.run_directory.status_file import Status
from tests.monitor_samples import Clock, MetricsWriter

NOW = datetime.now(UTC).replace(microsecond=0)
STEPS = 100


def _status(run: Path, **changes: Any) -> None:
    status = Status(
        processes=4,
        attempt=1,
        stalled=0,
        steps_at_start=0,
        round=0,
        steps=0,
        restored=True,
        host="elsewhere",
        started=(NOW - timedelta(minutes=10)).isoformat(),
    )
    (run / "status.json").write_text(json.dumps(asdict(replace(status, **changes))))


def _rounds(run: Path, first: int, last: int, *, began: datetime, between_seconds: float = 0.0) -> None:
    """Rounds of an attempt, one after another from `began`: two languages, 40 s of audio, 2 s each."""
    writer = MetricsWriter(str(run / "metrics.jsonl"), clock=Clock(began.timestamp()))
    writer.rounds(first, last, between_seconds=between_seconds).close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two languages at work and one that waits, at round 30 of 100 steps each."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_config(Config(optim=Optim(steps=STEPS, warmup_steps=1)), folder / "config.yaml")
    log = EventLog(folder / "events.jsonl")
    log.write("run_started", round=0, languages=["ita", "ron", "spa"])
    for code, before in (("ita", 0.9), ("ron", 1.1)):
        log.write("admitted", round=0, language=code, step=0, steps=STEPS, utterances=10, audio_seconds=100)
        for step, cer in ((0, before), (20, 0.5)):
            log.write("evaluated", round=step, language=code, step=step, cer=cer, wer=1.0, utterances=2, best=True)
        log.write("checkpoint_saved", round=20, language=code, step=20, best=True)
        _checkpoint(folder, code, 20, age_seconds=60 if code == "ita" else 90)
    log.close()
    _rounds(folder, 1, 30, began=NOW - timedelta(seconds=70))
    _status(folder)
    return folder


def _checkpoint(run: Path, code: str, step: int, *, age_seconds: float) -> None:
    folder = run / "adapters" / code / f"step-{step:08d}"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"step": step}))
    os.symlink(folder.name, folder.parent / "last")
    at = (NOW - timedelta(seconds=age_seconds)).timestamp()
    os.utime(folder, (at, at))


def test_a_run_at_work_tells_its_rate_time_left_and_what_a_kill_would_cost(run: Path) -> None:
    run_status = read_run_status(run, steps_of=configured_steps(run), now=NOW)
    assert (run_status.state, run_status.round) == ("running", 30)
    assert [run_status.count(state) for state in ("finished", "training", "waiting")] == [0, 2, 1]
    # Rounds report the ten steps each that came after the last event: 40 + 20 of 300.
    assert (run_status.steps, run_status.remaining_steps) == (60, 240)
    assert run_status.metrics is not None
    assert run_status.metrics.audio_seconds_per_second == pytest.approx(20.0)
    assert run_status.eta_seconds == pytest.approx(240.0)  # two steps every two seconds
    assert run_status.checkpoint_seconds == pytest.approx(60)
    assert run_status.at_risk_seconds == pytest.approx(90)


def test_the_speed_is_of_the_last_attempt_with_time_between_rounds(run: Path) -> None:
    _rounds(run, 31, 60, began=NOW, between_seconds=2.0)
    _status(run, started=NOW.isoformat(), steps_at_start=60, attempt=2)
    metrics = read_metrics(run, since=NOW)
    assert metrics is not None
    assert (metrics.round, metrics.rounds, metrics.steps) == (60, 30, 60)  # of the last attempt only
    assert metrics.steps_per_second == pytest.approx(0.5)
    assert metrics.audio_seconds_per_second == pytest.approx(20.0)
    assert (metrics.longest_round_seconds, metrics.longest_save_seconds) == (pytest.approx(2.0), pytest.approx(0.1))


def test_an_attempt_without_rounds_has_no_speed_from_the_one_before(run: Path) -> None:
    _status(run, started=NOW.isoformat(), steps_at_start=40, steps=40, attempt=2)
    run_status = read_run_status(run, steps_of=configured_steps(run), now=NOW)
    assert run_status.metrics is None
    assert run_status.eta_seconds is None
    assert (run_status.steps, run_status.remaining_steps) == (40, 260)


def test_a_run_of_a_version_without_metrics_shows_all_but_its_speed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "metrics.jsonl").unlink()
    run_status = read_run_status(run, steps_of=configured_steps(run), now=NOW)
    assert (run_status.state, run_status.round, run_status.steps, run_status.eta_seconds) == ("running", 20, 40, None)
    assert main(["status", str(run)]) == 0
    assert "unknown: a version of mms-dist without metrics.jsonl" in capsys.readouterr().out


def test_a_run_whose_process_is_gone_was_killed(run: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    _status(run, host=socket.gethostname(), pid=dead.pid)
    assert read_run_status(run, steps_of=configured_steps(run), now=NOW).state == "killed"
    _status(run, host=socket.gethostname(), pid=os.getpid(), started=datetime.now(UTC).isoformat())
    assert read_run_status(run, steps_of=configured_steps(run), now=NOW).state == "running"
    # A number that some later process was given.
    _status(run, host=socket.gethostname(), pid=os.getpid(), started=(NOW - timedelta(days=30)).isoformat())
    assert read_run_status(run, steps_of=configured_steps(run), now=NOW).state == "killed"


def test_a_run_on_another_machine_of_which_nothing_is_heard_is_told_of(run: Path) -> None:
    assert not read_run_status(run, now=NOW + timedelta(seconds=60)).is_quiet
    late = read_run_status(run, now=NOW + timedelta(hours=2))
    assert (late.state, late.is_quiet) == ("running", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "preempted", "exit_code": 75}, ["preempted", "run the same command to resume"]),
        (
            {"state": "failed", "exit_code": 2, "restart": False, "reason": "no such shard"},
            ["no such shard", "fix the error"],
        ),
        (
            {"state": "failed", "exit_code": 1, "reason": "lost rank 3"},
            ["lost rank 3", "the same command may succeed"],
        ),
        (
            {"state": "stalled", "stalled": 3, "attempt": 5, "reason": "3 restarts in a row"},
            ["automatic restarts have stopped", "4 automatic"],
        ),
        ({"state": "finished", "exit_code": 0}, ["finished, 4 processes"]),
    ],
)
def test_an_end_is_told_with_its_reason_and_what_comes_next(
    run: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: list[str]
) -> None:
    _status(run, ended=NOW.isoformat(), steps=200, **changes)
    assert main(["status", str(run)]) == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text
    assert "left, until" not in text
    assert "200 steps over all languages" in text


def test_the_json_is_standard_and_has_the_run_and_its_languages(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(run), "--json"]) == 0
    values = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert values["counts"] == {"finished": 0, "training": 2, "waiting": 1, "quarantined": 0}
    assert (values["state"], values["steps"], values["restarts"], values["alive"]) == ("running", 60, 0, None)
    assert values["languages"]["ron"]["cer"] == 0.5
    assert values["eta_seconds"] == pytest.approx(240.0)


def test_a_start_that_failed_before_any_language_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _status(tmp_path, state="failed", exit_code=2, restart=False, restored=False, reason="the base is missing")
    assert main(["status", str(tmp_path)]) == 0
    assert "the base is missing" in capsys.readouterr().out


def test_a_run_without_status_is_told_of_by_its_events(run: Path) -> None:
    (run / "status.json").unlink()
    run_status = read_run_status(run, steps_of=configured_steps(run), now=NOW)
    assert (run_status.state, run_status.steps, run_status.eta_seconds) == ("unknown", None, None)
    EventLog(run / "events.jsonl").write("run_finished", round=30)
    assert read_run_status(run, steps_of=configured_steps(run), now=NOW).state == "finished"


def test_no_run_is_an_error_that_says_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err


def test_nothing_is_written_or_locked(run: Path) -> None:
    def files() -> dict[str, float]:
        return {str(path): path.stat().st_mtime for path in run.rglob("*")}

    before = files()
    read_run_status(run)
    assert files() == before


def test_looking_imports_no_torch(run: Path) -> None:
    program = (
        f"import sys; from launcher.cli import main; main(['status', {str(run)!r}]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_a_real_run_stopped_and_finished(tmp_path: Path, small_base: Path) -> None:
    from tests.corpus import build_toy_shards
    from tests.training import toy_config, train

    shards = build_toy_shards(tmp_path / "corpus", languages=2, train=7, dev=2)
    config = toy_config(tmp_path / "real", small_base, shards)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 4

    assert train(config, stop_requested=stop) == "preempted"
    run_status = read_run_status(config.run.directory, steps_of=configured_steps(config.run.directory))
    assert (run_status.state, run_status.count("training")) == ("preempted", 2)
    assert run_status.steps is not None and run_status.remaining_steps is not None
    assert run_status.steps + run_status.remaining_steps == 24
    assert train(config) == "finished"
    run_status = read_run_status(config.run.directory, steps_of=configured_steps(config.run.directory))
    assert (run_status.state, run_status.count("finished"), run_status.steps, run_status.remaining_steps) == (
        "finished",
        2,
        24,
        0,
    )
    assert run_status.fraction == 1.0
