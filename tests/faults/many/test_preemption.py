"""A signal at any one rank, in any phase: all stop at the next round's edge, and nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.launch import ROOT
from tests.distributed.ranks import PREEMPTED, written
from tests.faults.injection import PHASES, Fault, Phase, read_record
from tests.faults.many.runs import (
    GRACE_SECONDS,
    LANGUAGES,
    SLOTS,
    WORLD,
    assert_every_checkpoint_is_whole,
    assert_same_adapters,
    events,
    faulty,
    holding_slots,
    many_config,
    rounds_of_active,
    run_faulty,
    run_to_the_end,
    status,
)

# Evaluations and checkpoints are due in these rounds; languages are shared only once the queue is empty.
ROUND: dict[Phase, int] = {
    "start": 0,
    "data": 12,
    "forward": 13,
    "reduce": 1,
    "evaluation": 16,
    "saving": 20,
    "edge": 22,
}
THROUGH_ACCELERATE = [
    Fault(0, "data", "term", ROUND["data"]),
    Fault(1, "reduce", "usr1", ROUND["reduce"]),
    Fault(1, "forward", "term_launcher", ROUND["forward"]),
]
FORKED = [
    fault
    for phase, at in ROUND.items()
    for fault in (
        Fault(PHASES.index(phase) % 2, phase, "term", at),
        Fault(1 - PHASES.index(phase) % 2, phase, "usr1", at),
    )
    if fault not in THROUGH_ACCELERATE
]
"""Both signals at all phases, each at one of the ranks: a process that is forked starts in a third of the time."""


def name(fault: Fault) -> str:
    return f"{fault.kind}-at-rank-{fault.rank}-in-{fault.phase}"


def assert_all_stopped_at_one_edge(directory: Path, record: Path, fault: Fault) -> None:
    notes = read_record(record)
    (struck,) = [note for note in notes if note.what == fault.kind]
    exits = [note for note in notes if note.what == "exit"]
    assert sorted((note.rank, note.code) for note in exits) == [(rank, PREEMPTED) for rank in range(WORLD)]
    assert max(note.time_seconds for note in exits) - struck.time_seconds < GRACE_SECONDS
    assert len({note.round for note in exits}) == 1
    # What is agreed at an edge was asked before it, and a signal after that is seen at the next; saving goes on in the
    # background, and so through edges too.
    assert struck.round <= exits[0].round <= struck.round + (1 if fault.phase in ("edge", "saving") else 0)
    found = status(directory)
    assert (found["state"], found["exit_code"], found["restart"]) == ("preempted", PREEMPTED, True)
    assert found["round"] == exits[0].round
    assert [event["round"] for event in events(directory, "preempted")] == [exits[0].round]
    assert_every_checkpoint_is_whole(directory)
    saved = rounds_of_active(directory)
    assert set(saved.values()) == {exits[0].round}
    if fault.phase == "start":  # before any is admitted; those that have a slot, the longest, are saved as new
        assert holding_slots(directory) == set() and saved.keys() == set(LANGUAGES[-SLOTS * WORLD :])
    else:
        assert saved.keys() == holding_slots(directory)


@pytest.mark.parametrize("fault", THROUGH_ACCELERATE, ids=name)
def test_a_signal_at_one_rank_stops_all_at_one_round_and_resumes_exactly(
    fault: Fault, tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    with faulty(config, [fault], tmp_path / "record") as launch:
        ended = launch.wait()
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    assert_all_stopped_at_one_edge(tmp_path / "run", tmp_path / "record", fault)
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")


SIGNALLED_AT_THE_IMPORT_OF_TORCH = """
import os, signal, sys

class Importing:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGUSR1)

sys.meta_path.insert(0, Importing())
from launcher.cli import main
sys.exit(main(["train", "--config", sys.argv[1]]))
"""


def test_a_signal_while_torch_is_still_being_imported_is_heeded(tmp_path: Path, small_base: Path, shards: Path) -> None:
    with written(many_config(tmp_path / "run", small_base, shards)) as path:
        command = [sys.executable, "-c", SIGNALLED_AT_THE_IMPORT_OF_TORCH, str(path)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == PREEMPTED, ended.stderr
    assert status(tmp_path / "run")["state"] == "preempted"


@pytest.mark.parametrize("fault", FORKED, ids=name)
def test_either_signal_in_any_phase_stops_all_at_one_round(
    fault: Fault, tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    run_faulty(config, [fault], tmp_path / "record", expect=PREEMPTED)
    assert_all_stopped_at_one_edge(tmp_path / "run", tmp_path / "record", fault)
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")
