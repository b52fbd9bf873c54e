"""A rank that waits before the first round says for whom, and a signal ends it within five seconds."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from launcher import cli, signals
from mms_dist.config import Config
from mms_dist.distributed import startup_waits
from mms_dist.hardware import base_loading
from mms_dist.run_directory.status_file import read_status
from mms_dist.training.components import RunComponents
from tests.corpus import build_toy_shards
from tests.distributed import worker
from tests.distributed.ranks import Ranks, written
from tests.training import toy_config

HERE = "tests.distributed.test_waiting_ranks"
NOTICE_SECONDS = 0.5
END_SECONDS = 5.0
PREEMPTED, INTERRUPTED = 75, 130
FOR_EVER = 600.0


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("waiting"), languages=1, train=4, dev=1)


@pytest.fixture
def config(tmp_path: Path, small_base: Path, shards: Path) -> Config:
    return toy_config(tmp_path / "run", small_base, shards, comm={"timeout_seconds": 20.0})  # a heartbeat a second


def come_alone(notes: worker.Notes) -> int:
    """One rank trains; the others end before they have met anybody."""
    startup_waits.FIRST_NOTICE_SECONDS = NOTICE_SECONDS
    return cli.main(["train", "--config", notes["config"]]) if int(os.environ["RANK"]) == notes["comes"] else 0


def load_for_ever(notes: worker.Notes) -> int:
    """One rank is stuck in loading the base, as in a download; the others wait for it inside of a collective."""
    startup_waits.FIRST_NOTICE_SECONDS = NOTICE_SECONDS
    if int(os.environ["RANK"]) == notes["stuck"]:
        base_loading.load_base = lambda *_: time.sleep(FOR_EVER)  # type: ignore[assignment]
    return cli.main(["train", "--config", notes["config"]])


def hang_in_round_3(notes: worker.Notes) -> int:
    """Rank 1 stops in round 3; the others wait for it inside of a collective."""
    signals.WAITING_SECONDS, signals.UNWINDING_SECONDS = 0.2, 0.2
    return worker.train(notes | {"watch": f"{HERE}:hang"})


def hang(components: RunComponents, notes: worker.Notes) -> None:
    if components.loop.round == 2:
        print("round 3", flush=True)
        if os.environ["RANK"] == "1":
            time.sleep(FOR_EVER)


def wait_for(ranks: Ranks, rank: int, text: str) -> str:
    """The line in which a rank says it."""
    deadline = time.monotonic() + 60
    while text not in ranks.log(rank):
        assert time.monotonic() < deadline, f"{text!r} is not in\n{ranks.log(rank)}"
        time.sleep(0.02)
    return next(line for line in ranks.log(rank).splitlines() if text in line)


def seconds_to_end(ranks: Ranks, rank: int, *sent: signal.Signals) -> float:
    began = time.monotonic()
    for number in sent:
        os.kill(ranks.pids[rank], number)
        time.sleep(0.1 if len(sent) > 1 else 0)
    ranks._processes[rank].join(30)
    return time.monotonic() - began


def started(config_path: Path, target: str, world: int = 2, **notes: Any) -> Ranks:
    return Ranks(world, f"{HERE}:{target}", {"config": str(config_path), **notes})


@pytest.mark.parametrize(
    ("rank", "sent"), [(0, signal.SIGINT), (0, signal.SIGTERM), (0, signal.SIGUSR1), (1, signal.SIGTERM)]
)
def test_a_rank_alone_says_whom_it_waits_for_and_ends_on_a_signal(
    rank: int, sent: signal.Signals, config: Config
) -> None:
    with written(config) as path, started(path, "come_alone", comes=rank) as ranks:
        told = wait_for(ranks, rank, "has waited")
        assert f"rank {rank} of 2" in told and f"for rank {1 - rank} at 127.0.0.1:" in told
        assert seconds_to_end(ranks, rank, sent) < END_SECONDS
        ended = ranks.wait()
    assert ended.codes[rank] == PREEMPTED
    assert ended.logs[rank].count("has waited") == 1, "sparsely"
    assert "Traceback" not in ended.logs[rank] and "same command" in ended.logs[rank]
    status = read_status(Path(config.run.directory))
    assert (status is not None and status.state == "preempted") == (rank == 0)


def test_a_rank_in_a_collective_says_who_is_late_with_what_and_ends(config: Config) -> None:
    with written(config) as path, started(path, "load_for_ever", stuck=1) as ranks:
        assert "rank 0 of 2 (127.0.0.1:" in wait_for(ranks, 0, "s for rank 1 (loading the base")
        assert "rank 1 of 2" in wait_for(ranks, 1, "has been loading the base")
        assert seconds_to_end(ranks, 0, signal.SIGINT) < END_SECONDS
        assert seconds_to_end(ranks, 1, signal.SIGINT) < END_SECONDS
        ended = ranks.wait()
    assert ended.codes[0] == PREEMPTED
    status = read_status(Path(config.run.directory))
    assert status is not None and (status.state, status.exit_code, status.restart) == ("preempted", PREEMPTED, True)


def test_a_rank_stopped_before_the_first_round_ends_those_that_wait_for_it(config: Config) -> None:
    with written(config) as path, started(path, "load_for_ever", stuck=1) as ranks:
        wait_for(ranks, 0, "has waited")
        assert seconds_to_end(ranks, 1, signal.SIGTERM) < END_SECONDS
        ended = ranks.wait()
    assert ended.codes == [PREEMPTED, PREEMPTED]
    status = read_status(Path(config.run.directory))
    assert status is not None and status.state == "preempted"


def test_a_process_alone_ends_a_download_on_a_signal(config: Config) -> None:
    with written(config) as path, started(path, "load_for_ever", world=1, stuck=0) as ranks:
        wait_for(ranks, 0, "this process has been loading the base")
        assert seconds_to_end(ranks, 0, signal.SIGTERM) < END_SECONDS
        assert ranks.wait().codes == [PREEMPTED]


def test_one_interrupt_waits_for_the_round_and_a_second_ends_at_once(config: Config) -> None:
    with written(config) as path, started(path, "hang_in_round_3") as ranks:
        wait_for(ranks, 0, "round 3")
        os.kill(ranks.pids[0], signal.SIGINT)
        time.sleep(1.0)
        assert ranks._processes[0].exitcode is None, "it waits for the end of the round"
        assert "has waited" not in ranks.log(0)
        assert seconds_to_end(ranks, 0, signal.SIGINT) < END_SECONDS
        ranks._processes[1].kill()
        assert ranks.wait().codes[0] == INTERRUPTED
