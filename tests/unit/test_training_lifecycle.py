"""What a round leaves in a language's progress, and when it is evaluated, saved and given up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mms_dist.config import Stopping
from mms_dist.data.stream import Position
from mms_dist.training.exchange import BatchTotals
from mms_dist.training.lifecycle import Lifecycle, Turn
from mms_dist.training.optimizer import Outcome
from mms_dist.training.progress import ACTIVE, QUARANTINED, Progress

BATCHES = 3
"""Of an epoch."""


class Bench:
    """A lifecycle whose surroundings note what it asks of them."""

    def __init__(self, folder: Path, *, every_steps: int = 100, every_rounds: int = 100, led_here: bool = True) -> None:
        self.evaluated: list[int] = []
        self.saved: list[int] = []
        self.events: list[str] = []
        self.progress = Progress("taa")
        self.trainee: Any = SimpleNamespace(
            language="taa",
            progress=self.progress,
            position=Position(),
            is_led_here=led_here,
            stream=SimpleNamespace(batches=lambda epoch: [None] * BATCHES),
            settings=SimpleNamespace(optim=SimpleNamespace(steps=1000), stopping=Stopping()),
        )
        config: Any = SimpleNamespace(
            evaluation=SimpleNamespace(every_steps=every_steps),
            checkpoint=SimpleNamespace(every_rounds=every_rounds),
            data=SimpleNamespace(shards="shards"),
        )
        workplace: Any = SimpleNamespace(is_finite=lambda trainee: True, snapshot=lambda trainee: None)
        store: Any = SimpleNamespace(
            directory=folder, save_later=lambda *_, **__: self.saved.append(self.progress.round)
        )
        dev: Any = SimpleNamespace(transcribe=self._transcribe)
        monitor: Any = SimpleNamespace(event=lambda kind, **_: self.events.append(kind))
        self.lifecycle = Lifecycle(config, workplace, store, dev, monitor)

    def _transcribe(self, due: list[Any]) -> dict[str, Any]:
        self.evaluated += [trainee.progress.step for trainee in due]
        return {}

    def round(self, number: int, *, read: int = 2, grad_norm: float = 1.0) -> None:
        outcome = Outcome(grad_norm, stepped=grad_norm < float("inf")) if read else None
        self.lifecycle.after_steps([Turn(self.trainee, outcome, BatchTotals(0.5, read, 16_000 * read))], number)


def test_a_step_counts_what_was_read_and_is_counted_by_the_lead_alone(tmp_path: Path) -> None:
    for led_here in (True, False):
        bench = Bench(tmp_path, led_here=led_here)
        bench.trainee.position = Position(1, 2)
        for number in (7, 8):
            bench.round(number, read=3)
        found = bench.progress
        assert (found.step, found.round, found.position) == (2, 8, Position(1, 2))
        assert (found.utterances, found.audio_seconds, found.status) == (6, 6.0, ACTIVE)
        assert bench.lifecycle.steps_taken == (2 if led_here else 0)


def test_a_batch_that_could_not_be_read_is_no_step_and_a_whole_epoch_of_them_in_a_row_is_the_end(
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
def test_evaluation_goes_by_the_languages_steps_and_saving_by_the_runs_rounds(tmp_path: Path, admitted: int) -> None:
    bench = Bench(tmp_path, every_steps=4, every_rounds=5)
    for number in range(admitted + 1, admitted + 11):
        bench.round(number)
    assert bench.evaluated == [4, 8]
    assert bench.saved == [number for number in range(admitted + 1, admitted + 11) if number % 5 == 0]


def test_the_last_step_is_evaluated_and_saved_whatever_the_intervals(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.trainee.settings.optim.steps = 3
    for number in (1, 2, 3):
        bench.round(number)
    assert (bench.evaluated, bench.saved, bench.events) == ([3], [3], ["finished"])
    assert bench.progress.reason == "steps"
