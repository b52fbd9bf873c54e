"""`mms-dist demo --processes N`: what it runs, and the exit status, which the launcher hides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.commands import demo
from mms_dist.config import load_config
from mms_dist.run_directory.status_file import Attempt, RunState, begin


def attempt(directory: Path) -> Attempt:
    return begin(directory, processes=2, automatic=False, allowed=0)


def launched(monkeypatch: pytest.MonkeyPatch, directory: Path, status: int, training: Callable[[], object]) -> int:
    """The demo's status where the launcher's is `status`, after a training that has written what it writes."""

    def run(command: list[str], environment: object) -> int:
        training()
        return status

    monkeypatch.setattr(demo, "run_launcher", run)
    return demo._launch(["accelerate", "launch"], directory)


@pytest.mark.parametrize(("state", "code"), [(RunState.PREEMPTED, 75), (RunState.FAILED, 2), (RunState.FAILED, 1)])
def test_the_exit_status_is_that_of_the_training_and_not_of_the_launcher(
    state: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training() -> None:
        attempt(tmp_path).finish(state, exit_code=code)

    assert launched(monkeypatch, tmp_path, 1, training) == code


def test_a_launcher_that_fails_before_the_training_keeps_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launched(monkeypatch, tmp_path, 1, lambda: None) == 1
    attempt(tmp_path).finish(RunState.FINISHED, exit_code=0)  # of an earlier demo
    assert launched(monkeypatch, tmp_path, 1, lambda: None) == 1


def test_a_training_that_was_killed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched(monkeypatch, tmp_path, 137, lambda: attempt(tmp_path)) == 137


def test_only_the_training_is_another_command_on_several_processes() -> None:
    one, several = (demo.commands(Path("d"), 10, processes) for processes in (1, 2))
    assert [command[0] for command in several] == ["mms-dist", "accelerate", *["mms-dist"] * 4]
    training = several[1]
    assert training[training.index("launcher.train") + 1 : -2] == one[1][2:]
    assert [several[0], *several[2:]] == [one[0], *one[2:]]


@pytest.mark.parametrize("name", ["plain", "a$HOME b", "~x", "[b]:zero: #1", "$$"])
def test_the_demo_trains_in_the_folder_that_it_evaluates(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build, train, models, evaluate, export, report = demo.commands(Path(name), 4, 1)
    config = load_config(train[3], train[4:])
    run, shards = Path(evaluate[2]), Path(build[-1])
    assert Path(config.run.directory) == run == Path(export[2]) == Path(report[2]) == Path(name) / "run"
    assert Path(models[3]) == Path(evaluate[6]) == shards
    assert Path(config.data.shards) == shards == Path(name) / "shards"
