"""RUN/status.json, and restarts that make no progress."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mms_dist.errors import CheckpointError, IncompleteError, StalledError, TrainingError
from mms_dist.monitor.run_status import read_run_status
from mms_dist.run_directory.quarantine import read_mark
from mms_dist.run_directory.status_file import Attempt, Status, begin, is_automatic_restart, mark_hung, read_status
from mms_dist.training.restore import read_quarantine


def start(run: Path, *, steps: int | None, automatic: bool = True, allowed: int = 3) -> Attempt:
    """An attempt that finds the run at `steps`; None: it does not come as far as reading the checkpoints."""
    attempt = begin(run, processes=2, automatic=automatic, allowed=allowed)
    if steps is not None:
        attempt.restored(round=steps // 10, steps=steps)
    return attempt


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text())


def test_the_status_says_how_the_run_stands_from_its_begin_to_its_end(tmp_path):
    assert read_status(tmp_path) is None
    attempt = start(tmp_path, steps=120, automatic=False)
    begun = status(tmp_path)
    assert (begun["state"], begun["restart"], begun["exit_code"], begun["ended"]) == (
        "running",
        True,
        None,
        None,
    )
    assert (begun["round"], begun["steps"], begun["processes"], begun["attempt"]) == (12, 120, 2, 1)
    assert datetime.now(UTC) - datetime.fromisoformat(begun["started"]) < timedelta(minutes=1)
    attempt.finish("finished", exit_code=0, round=40, steps=400)
    ended = status(tmp_path)
    assert ended == begun | {
        "state": "finished",
        "restart": False,
        "exit_code": 0,
        "round": 40,
        "steps": 400,
        "ended": ended["ended"],
    }
    assert datetime.fromisoformat(ended["ended"]) >= datetime.fromisoformat(ended["started"])


@pytest.mark.parametrize(
    ("state", "exit_code", "restart"),
    [
        ("finished", 0, False),
        ("preempted", 75, True),
        ("failed", 1, True),
        ("failed", 2, False),
        ("failed", 130, False),
        ("failed", 65, False),
        ("incomplete", 65, False),
    ],
)
def test_a_restart_is_asked_for_only_where_it_may_succeed(tmp_path, state, exit_code, restart):
    start(tmp_path, steps=0).finish(state, exit_code=exit_code, reason="because", round=3, steps=5)
    assert (status(tmp_path)["restart"], status(tmp_path)["exit_code"]) == (restart, exit_code)
    assert status(tmp_path)["reason"] == "because"


def test_three_restarts_without_a_step_end_the_run_with_a_fix(tmp_path):
    start(tmp_path, steps=1200, automatic=False).finish("failed", exit_code=1, reason="RuntimeError: boom")
    for count in (1, 2):
        attempt = start(tmp_path, steps=1200)
        assert status(tmp_path)["stalled"] == count
        attempt.finish("failed", exit_code=1, reason="RuntimeError: boom", steps=1250)  # steps that no checkpoint holds
    with pytest.raises(StalledError, match=r"3 restarts .* 1,200 steps, round 120.*RuntimeError: boom.*by hand"):
        start(tmp_path, steps=1200)
    found = status(tmp_path)
    assert (found["state"], found["restart"], found["exit_code"], found["attempt"]) == ("stalled", False, 70, 4)
    assert "RuntimeError: boom" in found["reason"]


def test_a_stalled_run_stays_stalled_until_a_manual_start(tmp_path):
    start(tmp_path, steps=0, automatic=False)
    with pytest.raises(StalledError) as first:
        start(tmp_path, steps=0, allowed=1)
    with pytest.raises(StalledError) as second:
        start(tmp_path, steps=0, allowed=1)
    assert str(first.value) == str(second.value) == status(tmp_path)["reason"]
    start(tmp_path, steps=0, allowed=1, automatic=False)
    assert (status(tmp_path)["state"], status(tmp_path)["stalled"], status(tmp_path)["attempt"]) == (
        "running",
        0,
        1,
    )


def mark(run: Path, language: str) -> Path:
    path = run / "adapters" / language / "QUARANTINED.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


@pytest.mark.parametrize("state", ["incomplete", "failed"])
def test_a_restart_of_an_incomplete_run_ends_with_the_same_reason(tmp_path, state):
    marks = [mark(tmp_path, language) for language in ("ita", "ron")]
    start(tmp_path, steps=40, automatic=False).finish(state, exit_code=65, reason="two", quarantined=["ita", "ron"])
    before = status(tmp_path)
    for attempt in (2, 3):
        with pytest.raises(IncompleteError, match="two") as error:
            start(tmp_path, steps=None)
        assert error.value.exit_code == 65
        now = status(tmp_path)
        assert now == before | {"attempt": attempt, "started": now["started"], "ended": now["ended"]}
    marks[0].unlink()  # someone has fixed one, and asks a launcher for it
    start(tmp_path, steps=40)
    assert (status(tmp_path)["state"], status(tmp_path)["stalled"], status(tmp_path)["quarantined"]) == (
        "running",
        0,
        [],
    )


def test_a_start_by_hand_after_quarantine_tries_anew(tmp_path):
    mark(tmp_path, "ron")
    start(tmp_path, steps=40, automatic=False).finish("incomplete", exit_code=65, reason="one", quarantined=["ron"])
    start(tmp_path, steps=40, automatic=False)
    assert status(tmp_path)["state"] == "running"


def test_a_status_of_before_quarantine_was_told_is_read(tmp_path):
    start(tmp_path, steps=40).finish("finished", exit_code=0)
    old = {name: value for name, value in status(tmp_path).items() if name != "quarantined"}
    (tmp_path / "status.json").write_text(json.dumps(old))
    assert read_status(tmp_path).quarantined == []


def test_attempts_that_are_killed_without_a_word_count(tmp_path):
    start(tmp_path, steps=40, automatic=False)
    start(tmp_path, steps=40)
    start(tmp_path, steps=40)
    with pytest.raises(StalledError, match=r"killed, or its host went down"):
        start(tmp_path, steps=40)


def test_attempts_that_die_before_they_have_read_a_checkpoint_count(tmp_path):
    start(tmp_path, steps=40, automatic=False)
    for _ in range(3):
        start(tmp_path, steps=None)
    with pytest.raises(StalledError, match=r"3 restarts"):
        start(tmp_path, steps=None)


def test_a_first_start_that_dies_at_once_counts_as_stalled(tmp_path):
    start(tmp_path, steps=None, automatic=False)
    start(tmp_path, steps=None)
    start(tmp_path, steps=None)
    with pytest.raises(StalledError, match=r"before the first step"):
        start(tmp_path, steps=None)


def test_one_step_more_begins_the_count_anew(tmp_path):
    start(tmp_path, steps=40, automatic=False)
    start(tmp_path, steps=40)
    start(tmp_path, steps=40)
    start(tmp_path, steps=41)
    assert status(tmp_path)["stalled"] == 0
    start(tmp_path, steps=None)  # dies early: the progress before it still counts
    start(tmp_path, steps=60)
    assert (status(tmp_path)["stalled"], status(tmp_path)["attempt"]) == (0, 6)


def test_steps_that_were_lost_are_no_progress(tmp_path):
    start(tmp_path, steps=40, automatic=False)
    start(tmp_path, steps=30)
    assert status(tmp_path)["stalled"] == 1


@pytest.mark.parametrize("state", ["preempted", "finished"])
def test_a_run_that_ended_in_order_is_not_stalled(tmp_path, state):
    for _ in range(5):
        start(tmp_path, steps=40).finish(state, exit_code=75)
    assert status(tmp_path)["stalled"] == 0


def test_zero_turns_giving_up_off(tmp_path):
    for _ in range(6):
        start(tmp_path, steps=40, allowed=0)
    assert status(tmp_path)["stalled"] == 5


def test_a_hang_reported_by_another_rank_is_not_overwritten(tmp_path):
    attempt = start(tmp_path, steps=40)
    mark_hung(tmp_path, reason="watchdog: rank 1 hangs")
    attempt.finish("failed", exit_code=1, reason="rank 0 of 2 lost a peer")
    found = status(tmp_path)
    assert (found["state"], found["restart"], found["reason"]) == ("failed", True, "watchdog: rank 1 hangs")
    assert found["ended"] is not None


def test_a_hang_does_not_unsay_an_end(tmp_path):
    start(tmp_path, steps=40).finish("preempted", exit_code=75)
    mark_hung(tmp_path, reason="watchdog: rank 1 hangs")
    assert status(tmp_path)["state"] == "preempted"


def test_what_a_stalled_attempt_fails_with_does_not_hide_that_it_stalled(tmp_path):
    start(tmp_path, steps=40)
    attempt = begin(tmp_path, processes=2, automatic=True, allowed=1)
    with pytest.raises(StalledError) as error:
        attempt.restored(round=4, steps=40)
    attempt.finish("failed", exit_code=1, reason=str(error.value))
    assert status(tmp_path)["state"] == "stalled"


@pytest.mark.parametrize("text", ["", "[]", '{"state": "running"}', '{"colour": 1}'])
def test_a_file_that_is_no_status_is_named_with_what_to_do(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(TrainingError, match=rf"{re.escape(str(tmp_path))}/status.json is not the status.*Remove"):
        read_status(tmp_path)


@pytest.mark.parametrize(
    ("environment", "automatic"),
    [
        ({}, False),
        ({"TORCHELASTIC_RESTART_COUNT": "0"}, False),
        ({"TORCHELASTIC_RESTART_COUNT": "2"}, True),
        ({"SLURM_RESTART_COUNT": "1", "TORCHELASTIC_RESTART_COUNT": "0"}, True),
    ],
)
def test_a_restart_is_automatic_if_a_launcher_or_slurm_counts_it(environment, automatic):
    assert is_automatic_restart(environment) is automatic


FIELDS = [each.name for each in fields(Status)]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, min_size=1, max_size=2))
@example(changes={"pid": -1})
@example(changes={"pid": 2**40})
@example(changes={"started": "2026-01-01"})
def test_no_value_in_status_json_gives_a_traceback(tmp_path, changes):
    start(tmp_path, steps=40, automatic=False)
    (tmp_path / "status.json").write_text(json.dumps(status(tmp_path) | changes))
    try:
        read_run_status(tmp_path).as_dict()
        start(tmp_path, steps=40)
    except TrainingError as error:
        assert "status.json" in str(error) or isinstance(error, (StalledError, IncompleteError))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=20) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_a_quarantine_mark_holds_whatever_is_in_it(tmp_path, content):
    path = mark(tmp_path, "ron")
    path.write_bytes(content)
    found = read_mark(tmp_path / "adapters", "ron")
    assert found is not None and found.line
    with contextlib.suppress(CheckpointError):
        read_quarantine(tmp_path / "adapters", "ron")
