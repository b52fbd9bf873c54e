"""The round loop.

A round is the unit of progress: every active language contributes one optimizer batch and takes one optimizer step.
All ranks go through the same rounds; at each round's edge they agree, in one small collective, on what has happened.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from mms_dist import transfer
from mms_dist.data.batch import BatchRequest
from mms_dist.data.loader import BatchLoader
from mms_dist.distributed.comm import Comm
from mms_dist.errors import MmsDistError
from mms_dist.monitor.memory import memory_bytes
from mms_dist.monitor.report import LanguageRound, RoundReport
from mms_dist.training.attempts import RunState
from mms_dist.training.exchange import GradientExchange
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.lifecycle import Lifecycle, Turn
from mms_dist.training.messenger import Messenger
from mms_dist.training.optimizer import Outcome, RowAdamW, RowStep, outcomes_of
from mms_dist.training.roster import Roster
from mms_dist.training.schedule import learning_rate
from mms_dist.training.seating import Seating
from mms_dist.training.trainee import Trainee
from shards.errors import ShardsError
from shards.schema import SAMPLE_RATE


@dataclass(frozen=True)
class Verdict:
    """What all ranks know of a round's edge: whether any was asked to stop, and the languages that have ended."""

    stop: bool
    ended: Sequence[str]


@dataclass
class RoundLoop:
    """Trains until every language is done, or until any rank is asked to stop."""

    comm: Comm
    roster: Roster
    seating: Seating
    loader: BatchLoader
    gradients: GradientPass
    exchange: GradientExchange
    optimizer: RowAdamW
    lifecycle: Lifecycle
    monitor: Messenger
    prefetch_rounds: int
    round: int
    stop_requested: Callable[[], bool]
    _began: float = field(default_factory=perf_counter)
    _stepping: bool = False
    """Between the first row's step and the last language's bookkeeping, when the languages are of different rounds."""

    def run(self) -> str:
        """`finished`, or `preempted` with a checkpoint of every language.

        An error of the machine or the data (a full disk, a damaged shard, a lost peer) also leaves a checkpoint of
        every language of this rank if it came between two steps, where all is of one piece.
        """
        try:
            return self._run()
        except (MmsDistError, ShardsError):
            if not self._stepping:
                with contextlib.suppress(MmsDistError):
                    self.lifecycle.save_all(self.seating.in_order(), self.round)
            raise

    def _run(self) -> str:
        verdict = self._agree()
        if verdict.stop:
            self.comm.first_round()  # all ranks are here, and end in order
        while True:
            verdict = self._settle(verdict)
            if not self.roster.active:
                return RunState.FINISHED
            if verdict.stop:
                self.lifecycle.save_all(self.seating.in_order(), self.round)
                return RunState.PREEMPTED
            self.comm.first_round()
            self._one_round(self.round + 1, self.seating.in_order())
            verdict = self._agree()

    def _one_round(self, number: int, trainees: Sequence[Trainee]) -> None:
        began, waited, saved = perf_counter(), self.loader.wait_seconds, self.lifecycle.save_seconds
        reading, read_audio = self.loader.reading.seconds, self.loader.reading.audio_seconds
        self.comm.watch.at(f"reading round {number}")
        batches = self.loader.take(trainee.request() for trainee in trainees)
        self.loader.prefetch(self._ahead(trainees))
        computing = perf_counter()
        sums = self.gradients.accumulate(batches, self.seating.trainees)
        totals = self.exchange.complete(trainees, batches, sums.sums_S)
        self._stepping = True
        outcomes, losses = self._step([t for t in trainees if totals[t.language].utterances], number, sums)
        compute_seconds = perf_counter() - computing
        turns = [
            Turn(trainee, outcomes.get(trainee.language), totals[trainee.language], batch.damaged)
            for trainee, batch in zip(trainees, batches, strict=True)
            if not trainee.is_held(number)
        ]
        self.lifecycle.after_steps(turns, number)
        self.round, self._stepping = number, False
        self.lifecycle.tell_notices(number)
        report = RoundReport(
            round=number,
            languages=[
                _language_round(turn, turn.outcome, losses[turn.trainee.slot])
                for turn in turns
                if turn.outcome and turn.trainee.is_led_here
            ],
            seconds=perf_counter() - began,
            audio_seconds=sums.audio_seconds,
            padded_seconds=sums.padded_seconds,
            data_wait_seconds=self.loader.wait_seconds - waited,
            compute_seconds=compute_seconds,
            read_seconds=self.loader.reading.seconds - reading,
            read_audio_seconds=self.loader.reading.audio_seconds - read_audio,
            readers=self.loader.workers,
            save_seconds=self.lifecycle.save_seconds - saved,
            evaluation_fraction=self.lifecycle.evaluation_seconds / (perf_counter() - self._began),
            save_all_seconds=self.lifecycle.save_all_seconds(trainees),
            memory_bytes=memory_bytes(),
            waiting=self.roster.waiting,
            finished=self.roster.ended,
        )
        self.monitor.round(report)

    def _step(
        self, trainees: Sequence[Trainee], number: int, sums: RoundLosses
    ) -> tuple[dict[str, Outcome], list[float]]:
        """One optimizer step of every language whose batch could be read; all go on in their streams.

        What came of them, and the losses by slot: with these the host waits for the device, once a round.
        """
        for trainee in self.seating.trainees.values():
            trainee.position = trainee.stream.next(trainee.position)
        rows = [RowStep(t.slot, t.progress.step + 1, t.settings.optim, not t.is_held(number)) for t in trainees]
        losses, norms = transfer.numbers(sums.sums_S, self.optimizer.step_rows(rows))
        outcomes = outcomes_of(rows, norms)
        return {t.language: outcome for t, outcome in zip(trainees, outcomes, strict=True)}, losses

    def _settle(self, verdict: Verdict) -> Verdict:
        """Release the languages that have ended, and admit the next, until nobody new comes."""
        while True:
            came, mine = self.seating.settle(verdict.ended, self.round)
            if not came:
                return Verdict(verdict.stop, [])
            if not verdict.stop:
                self.lifecycle.admitted(mine, self.round, self.stop_requested)
            verdict = self._agree()

    def _agree(self) -> Verdict:
        """One small collective: what any rank has to say at this round's edge, all know."""
        languages, ended = self.roster.in_order(), set(self.seating.ended(self.round))
        flags = [self.stop_requested(), self.monitor.is_due, *(language in ended for language in languages)]
        stop, due, *over = self.comm.agree([int(flag) for flag in flags], about=f"the edge after round {self.round}")
        if due:
            self.monitor.deliver()
        return Verdict(bool(stop), [language for language, flag in zip(languages, over, strict=True) if flag])

    def _ahead(self, trainees: Sequence[Trainee]) -> list[BatchRequest]:
        """What the next rounds will probably ask for, the nearest first."""
        requests = []
        positions = {trainee.language: trainee.position for trainee in trainees}
        for _ in range(self.prefetch_rounds):
            for trainee in trainees:
                positions[trainee.language] = trainee.stream.next(positions[trainee.language])
                requests.append(BatchRequest(trainee.language, positions[trainee.language]))
        return requests


def _language_round(turn: Turn, outcome: Outcome, loss: float) -> LanguageRound:
    trainee, totals = turn.trainee, turn.totals
    progress, optim = trainee.progress, trainee.settings.optim
    return LanguageRound(
        language=trainee.language,
        step=progress.step,
        steps=optim.steps,
        epoch=trainee.stream.progress(trainee.position),
        loss=loss,
        lr=learning_rate(progress.step, optim),
        grad_norm=outcome.grad_norm,
        utterances=totals.utterances,
        audio_seconds=totals.samples / SAMPLE_RATE,
    )
