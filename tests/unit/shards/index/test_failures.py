"""The list of failed languages holds what every process says, and goes when all are done."""

import json
import multiprocessing

from shards.errors import Problem
from shards.index.failures import FAILURES_NAME, record_outcome


def fail_and_finish(folder, first):
    """What a task of a job array does: each of its languages fails, and every second one is done later."""
    for number in range(first, first + 20):
        record_outcome(folder, failed={f"q{number}": Problem("it is broken", "repair it")})
    record_outcome(folder, failed={}, done=[f"q{number}" for number in range(first, first + 20, 2)])


def test_processes_at_the_same_time_lose_no_failure(tmp_path):
    context = multiprocessing.get_context("spawn")
    tasks = [context.Process(target=fail_and_finish, args=(tmp_path, first)) for first in (0, 20, 40)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
        assert task.exitcode == 0
    listed = json.loads((tmp_path / FAILURES_NAME).read_text())
    assert listed.keys() == {f"q{number}" for number in range(1, 60, 2)}
    assert listed["q1"] == {"found": "it is broken", "fix": "repair it"}
    record_outcome(tmp_path, failed={}, done=listed)
    assert list(tmp_path.iterdir()) == []


def test_without_failures_nothing_is_written_and_damage_is_replaced(tmp_path):
    record_outcome(tmp_path, failed={}, done=["ron"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / FAILURES_NAME).write_text('{"ron": ')
    record_outcome(tmp_path, failed={"ita": Problem("it is broken")})
    assert json.loads((tmp_path / FAILURES_NAME).read_text()).keys() == {"ita"}
