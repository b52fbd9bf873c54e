"""The round loop.

A round is the unit of progress: every active language contributes one optimizer batch and takes one optimizer step.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from mms_dist.data.batch import BatchRequest, LoadedBatch
from mms_dist.data.loader import BatchLoader
from mms_dist.errors import MmsDistError
from mms_dist.monitor.memory import memory_bytes
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import LanguageRound, RoundReport
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.optimizer import Outcome, RowAdamW, RowStep
from mms_dist.training.roster import Roster
from mms_dist.training.schedule import learning_rate
from mms_dist.training.trainee import Trainee
from shards.errors import ShardsError

FINISHED, PREEMPTED = "finished", "preempted"


@dataclass
class RoundLoop:
    """Trains until every language is done, or until asked to stop."""

    roster: Roster
    loader: BatchLoader
    gradients: GradientPass
    optimizer: RowAdamW
    lifecycle: Lifecycle
    monitor: Monitor
    prefetch_rounds: int
    round: int
    stop_requested: Callable[[], bool]
    _stepping: bool = False
    """Between the first row's step and the last language's bookkeeping, when the languages are of different rounds."""

    def run(self) -> str:
        """`finished`, or `preempted` with a checkpoint of every language.

        An error of the machine or the data (a full disk, a damaged shard) also leaves a checkpoint of every language
        if it came between two steps, where all is of one piece.
        """
        while True:
            self._fill()
            if not self.roster.active:
                return FINISHED
            if self.stop_requested():
                self.lifecycle.save_all(self.roster.in_order(), self.round)
                return PREEMPTED
            try:
                self._one_round(self.round + 1, self.roster.in_order())
            except (MmsDistError, ShardsError):
                if not self._stepping:
                    with contextlib.suppress(MmsDistError):
                        self.lifecycle.save_all(self.roster.in_order(), self.round)
                raise

    def _one_round(self, number: int, trainees: Sequence[Trainee]) -> None:
        began, waited, saved = perf_counter(), self.loader.wait_seconds, self.lifecycle.save_seconds
        batches = self.loader.take(trainee.request() for trainee in trainees)
        self.loader.prefetch(self._ahead(trainees))
        losses = self.gradients.accumulate(batches, self.roster.active)
        self._stepping = True
        for trainee in trainees:
            trainee.position = trainee.stream.next(trainee.position)
        rows = {
            trainee.language: RowStep(
                trainee.slot, trainee.progress.step + 1, trainee.settings.optim, not trainee.is_held(number)
            )
            for trainee in trainees
            if trainee.language in losses.losses
        }
        outcomes = dict(zip(rows, self.optimizer.step(list(rows.values())), strict=True))
        live = [(t, b) for t, b in zip(trainees, batches, strict=True) if not t.is_held(number)]
        for trainee, batch in live:
            self.lifecycle.after_step(trainee, outcomes.get(trainee.language), batch, number)
        self.round, self._stepping = number, False
        report = RoundReport(
            round=number,
            languages=[_language_round(t, b, losses, outcomes) for t, b in live if t.language in outcomes],
            seconds=perf_counter() - began,
            audio_seconds=losses.audio_seconds,
            padded_seconds=losses.padded_seconds,
            data_wait_seconds=self.loader.wait_seconds - waited,
            save_seconds=self.lifecycle.save_seconds - saved,
            memory_bytes=memory_bytes(),
            waiting=self.roster.waiting,
            finished=self.lifecycle.ended,
        )
        self.monitor.round(report)

    def _fill(self) -> None:
        """Release the slots of languages that are done, and give them to the next."""
        for trainee in self.roster.in_order():
            if trainee.leaves_after(self.round):
                self.lifecycle.workplace.leave(trainee)
                self.roster.release(trainee)
        for trainee in self.roster.fill(self.round):
            if not self.stop_requested():  # admission evaluates; what is left out is made up for after the restart
                self.lifecycle.admitted(trainee, self.round)

    def _ahead(self, trainees: Sequence[Trainee]) -> list[BatchRequest]:
        """What the next rounds will probably ask for, the nearest first."""
        requests = []
        positions = {trainee.language: trainee.position for trainee in trainees}
        for _ in range(self.prefetch_rounds):
            for trainee in trainees:
                positions[trainee.language] = trainee.stream.next(positions[trainee.language])
                requests.append(BatchRequest(trainee.language, positions[trainee.language]))
        return requests


def _language_round(
    trainee: Trainee, batch: LoadedBatch, losses: RoundLosses, outcomes: dict[str, Outcome]
) -> LanguageRound:
    progress, optim = trainee.progress, trainee.settings.optim
    return LanguageRound(
        language=trainee.language,
        step=progress.step,
        steps=optim.steps,
        epoch=trainee.stream.progress(trainee.position),
        loss=losses.losses[trainee.language],
        lr=learning_rate(progress.step, optim),
        grad_norm=outcomes[trainee.language].grad_norm,
        utterances=len(batch.utterances),
        audio_seconds=batch.audio_seconds,
    )
