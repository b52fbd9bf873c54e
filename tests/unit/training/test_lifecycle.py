"""What a round leaves in a language's progress, and when it is evaluated, saved and given up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mms_dist.config import Stopping
from mms_dist.data.stream import Position
from mms_dist.distributed.placement import RankGroup
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.model.optimizer import Outcome
from mms_dist.training.exchange import BatchTotals
from mms_dist.training.lifecycle import LanguageStepResult, Lifecycle
from mms_dist.training.observer import Observer
from mms_dist.training.progress import ACTIVE, QUARANTINED, Progress

BATCHES = 3
"""Of an epoch."""


class Noted(Observer):
    """Notes the kinds of events."""

    def __init__(self, kinds: list[str]) -> None:
        self._kinds = kinds

    def event(self, kind: str, **fields: Any) -> None:
        self._kinds.append(kind)


class Bench:
    """A lifecycle whose surroundings note what it asks of them."""

    def __init__(self, folder: Path, *, every_steps: int = 100, every_rounds: int = 100, led_here: bool = True) -> None:
        self.evaluated: list[int] = []
        self.saved: list[int] = []
        self.best: list[bool] = []
        self.drained = 0
        self.events: list[str] = []
        self.progress = Progress(language="taa")
        self.replay_until_round = -1
        self.active: Any = SimpleNamespace(
            language="taa",
            progress=self.progress,
            position=Position(),
            is_led_here=led_here,
            is_replaying=lambda number: number <= self.replay_until_round,
            group=RankGroup(0, 1),
            stream=SimpleNamespace(batches=lambda epoch: [None] * BATCHES),
            settings=SimpleNamespace(optim=SimpleNamespace(steps=1000), stopping=Stopping()),
        )
        language_slots: Any = SimpleNamespace(is_finite=lambda active: True, snapshot=lambda active: None)
        store: Any = SimpleNamespace(directory=folder, save_later=self._save, drain=self._drain)
        dev: Any = SimpleNamespace(
            transcribe=self._transcribe,
            lockstep=SimpleNamespace(is_needed=False),
            comm=SimpleNamespace(all_gather_in=lambda group, item: [item]),
            index=SimpleNamespace(root="shards", language=lambda code: SimpleNamespace(utterances=lambda split: 2)),
        )
        self.lifecycle = Lifecycle(
            evaluate_every_steps=every_steps,
            save_every_rounds=every_rounds,
            language_slots=language_slots,
            store=store,
            dev=dev,
            observer=Noted(self.events),
        )

    def _transcribe(self, due: list[Any]) -> dict[str, Any]:
        """Of a dev split of which nothing can be read."""
        self.evaluated += [active.progress.step for active in due]
        return {active.language: Transcription() for active in due}

    def _save(self, snapshot: object, *, best: bool, saved: object) -> None:
        self.saved.append(self.progress.round)
        self.best.append(best)

    def _drain(self) -> None:
        self.drained += 1

    def admit(self, round_number: int, *, stop: bool = False) -> None:
        self.lifecycle.admitted([self.active], round_number, lambda: stop)

    def round(self, number: int, *, read: int = 2, grad_norm: float = 1.0) -> None:
        outcome = Outcome(grad_norm, stepped=grad_norm < float("inf")) if read else None
        self.lifecycle.after_steps([LanguageStepResult(self.active, outcome, BatchTotals(read, 16_000 * read))], number)


def test_a_step_counts_what_was_read_and_is_counted_by_the_lead_alone(tmp_path: Path) -> None:
    for led_here in (True, False):
        bench = Bench(tmp_path, led_here=led_here)
        bench.active.position = Position(1, 2)
        for number in (7, 8):
            bench.round(number, read=3)
        found = bench.progress
        assert (found.step, found.round, found.position) == (2, 8, Position(1, 2))
        assert (found.utterances, found.audio_seconds, found.status) == (6, 6.0, ACTIVE)
        assert bench.lifecycle.steps_taken == (2 if led_here else 0)


def test_a_whole_epoch_of_unreadable_batches_quarantines_a_language(
    tmp_path: Path,
) -> None:
    (tmp_path / "taa").mkdir()
    bench = Bench(tmp_path)
    for number, read in enumerate([0, 0, 2, 0, 0], start=1):
        bench.round(number, read=read)
    assert (bench.progress.status, bench.progress.step, bench.progress.round) == (ACTIVE, 1, 5)
    bench.round(6, read=0)
    assert bench.progress.status == QUARANTINED and "whole epoch" in (bench.progress.reason or "")
    assert bench.events == ["quarantined"]


def test_a_gradient_that_is_no_number_is_the_end_at_once(tmp_path: Path) -> None:
    (tmp_path / "taa").mkdir()
    bench = Bench(tmp_path, every_rounds=1)
    bench.round(1, grad_norm=float("inf"))
    assert (bench.progress.status, bench.progress.step, bench.saved) == (QUARANTINED, 0, [])


@pytest.mark.parametrize("admitted", [0, 3, 7])
def test_evaluation_counts_steps_and_saving_counts_rounds(tmp_path: Path, admitted: int) -> None:
    bench = Bench(tmp_path, every_steps=4, every_rounds=5)
    for number in range(admitted + 1, admitted + 11):
        bench.round(number)
    assert bench.evaluated == [4, 8]
    regular = {number for number in range(admitted + 1, admitted + 11) if number % 5 == 0}
    assert set(bench.saved) == regular | {admitted + 4, admitted + 8}, "and where it was the best so far"


def test_the_last_step_is_evaluated_and_saved_whatever_the_intervals(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.active.settings.optim.steps = 3
    for number in (1, 2, 3):
        bench.round(number)
    assert (bench.evaluated, bench.saved, bench.events) == ([3], [3], ["finished"])
    assert bench.progress.reason == "steps"


def test_a_new_language_is_measured_and_saved_before_its_first_round(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.admit(3)
    assert (bench.evaluated, bench.saved, bench.best, bench.drained) == ([0], [0], [True], 1)
    assert bench.events == ["admitted"]


def test_one_that_comes_back_is_neither_measured_nor_saved_again(tmp_path: Path) -> None:
    for step, cer in ((5, None), (0, 0.5), (5, 0.5)):
        bench = Bench(tmp_path)
        bench.progress.step, bench.progress.best.cer = step, cer
        bench.admit(3)
        assert (bench.evaluated, bench.saved, bench.events) == ([], [], ["admitted"])
        assert bench.drained == 1, "whatever was saved before is on the disk before a round begins"


def test_one_that_only_keeps_company_is_not_told_of_as_admitted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.replay_until_round = 4
    bench.admit(3)
    assert (bench.evaluated, bench.events) == ([], [])
    bench.admit(4)
    assert bench.events == ["admitted"]


def test_a_stop_passes_the_measuring_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.admit(0, stop=True)
    assert (bench.evaluated, bench.saved, bench.drained) == ([], [], 1)
