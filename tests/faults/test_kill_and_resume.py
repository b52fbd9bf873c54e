"""I6 and I7: kill -9 at any moment, run the same command again, and nothing is different in the end."""

import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mms_dist.config import Config
from mms_dist.monitor.events import read_events
from tests.corpus import build_toy_shards, toy_languages
from tests.forks import FORKS
from tests.training import final_row, toy_config, train

LANGUAGES = toy_languages(5)
KILLS = 20


def start(config: Config) -> BaseProcess:
    process = FORKS.Process(target=train, args=(config,))
    process.start()
    return process


def told(directory: Path) -> int:
    """How much the run has told so far."""
    log = directory / "events.jsonl"
    return log.stat().st_size if log.exists() else 0


def wait_for_a_word(directory: Path, told_before: int, process: BaseProcess) -> None:
    """Until the run has begun, or has ended."""
    while process.is_alive() and told(directory) <= told_before:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("killed"), languages=5, train=8, dev=2)


def run_config(directory: Path, base: Path, shards: Path, *, attention: str = "padded") -> Config:
    """Languages of different lengths in fewer slots than languages, so that those in a round change all the time."""
    own_steps = {code: {"optim": {"steps": 60 + 17 * number}} for number, code in enumerate(LANGUAGES)}
    return toy_config(
        directory,
        base,
        shards,
        model={"attention": attention},
        augment={"speed": [0.9, 1.0, 1.1]},
        rounds={"slots": 3, "forward_seconds": 6.0},
        checkpoint={"every_rounds": 7},
        evaluation={"every_steps": 20},
        languages=own_steps,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> tuple[Path, float]:
    """The run that nobody interrupted, and how many seconds it took."""
    directory = tmp_path_factory.mktemp("whole")
    began = time.monotonic()
    process = start(run_config(directory, small_base, shards))
    process.join()
    assert process.exitcode == 0
    return directory, time.monotonic() - began


def assert_same_adapters(one: Path, other: Path) -> None:
    for language in LANGUAGES:
        assert final_row(one, language).equal(final_row(other, language)), language


def killed_run(killed: Config, *, kills: int, seconds: float) -> int:
    """Start a run again and again, kill it `kills` times, and let it end; how often it was killed."""
    moments, done = random.Random(7), 0
    directory = Path(killed.run.directory)
    for _ in range(20 * kills):
        told_before = told(directory)
        process = start(killed)
        if done < kills:
            wait_for_a_word(directory, told_before, process)
            process.join(timeout=moments.uniform(0, seconds / kills))
        else:
            process.join()
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            done += 1
            continue
        assert process.exitcode == 0
        break
    return done


def test_a_run_killed_20_times_equals_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, float]
) -> None:
    uninterrupted, seconds = whole
    kills = killed_run(run_config(tmp_path, small_base, shards), kills=KILLS, seconds=seconds)
    assert kills >= KILLS, f"the run was over after {kills} kills; give it more steps"
    assert_same_adapters(uninterrupted, tmp_path)


def test_a_packed_run_that_is_killed_equals_the_one_that_was_not(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, float]
) -> None:
    train(run_config(tmp_path / "whole", small_base, shards, attention="packed"))
    killed = run_config(tmp_path / "killed", small_base, shards, attention="packed")
    assert killed_run(killed, kills=4, seconds=whole[1]) == 4
    assert_same_adapters(tmp_path / "whole", tmp_path / "killed")


def test_a_stop_between_rounds_and_a_resume_change_no_bit(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, float]
) -> None:
    stopped = run_config(tmp_path / "stopped", small_base, shards)
    for rounds in (3, 10, 29, 1, 50):
        left = iter(range(rounds))
        assert train(stopped, stop_requested=lambda left=left: next(left, None) is None) == "preempted"
    assert train(stopped) == "finished"
    assert_same_adapters(whole[0], tmp_path / "stopped")


def test_only_the_language_with_a_damaged_checkpoint_falls_back(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, float]
) -> None:
    damaged = run_config(tmp_path / "damaged", small_base, shards)
    left = iter(range(40))
    assert train(damaged, stop_requested=lambda: next(left, None) is None) == "preempted"
    adapters = tmp_path / "damaged" / "adapters"
    victim = min(path.name for path in adapters.iterdir())
    newest = sorted((adapters / victim).glob("step-*"))[-1]
    content = bytearray((newest / "optimizer.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "optimizer.safetensors").write_bytes(content)
    assert train(damaged) == "finished"
    kinds = [event["kind"] for event in read_events(tmp_path / "damaged" / "events.jsonl")]
    assert "checkpoint_damaged" in kinds
    assert_same_adapters(whole[0], tmp_path / "damaged")


def test_the_same_command_on_a_finished_run_changes_nothing(
    tmp_path: Path, small_base: Path, shards: Path, whole: tuple[Path, float]
) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (whole[0] / "adapters").rglob("*") if path.is_file()}

    before = files()
    assert train(run_config(whole[0], small_base, shards)) == "finished"
    assert files() == before
