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
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.attempts import RunState
from mms_dist.training.exchange import GradientExchange
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.lifecycle import LanguageStepResult, Lifecycle
from mms_dist.training.optimizer import Outcome, RowAdamW, RowStep, outcomes_of
from mms_dist.training.report_collector import ReportCollector
from mms_dist.training.schedule import learning_rate
from mms_dist.training.scheduler import LanguageScheduler
from mms_dist.training.slot_manager import SlotManager
from shards.errors import ShardsError
from shards.schema import SAMPLE_RATE


@dataclass(frozen=True)
class RoundDecision:
    """What all ranks know of a round's edge: whether any was asked to stop, and the languages that have ended."""

    stop: bool
    ended: Sequence[str]


@dataclass
class RoundLoop:
    """Trains until every language is done, or until any rank is asked to stop."""

    comm: Comm
    scheduler: LanguageScheduler
    slot_manager: SlotManager
    loader: BatchLoader
    gradients: GradientPass
    exchange: GradientExchange
    optimizer: RowAdamW
    lifecycle: Lifecycle
    monitor: ReportCollector
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
                    self.lifecycle.save_all(self.slot_manager.in_order(), self.round)
            raise

    def _run(self) -> str:
        decision = self._decide()
        if decision.stop:
            self.comm.first_round()  # all ranks are here, and end in order
        while True:
            decision = self._admit_and_release(decision)
            if not self.scheduler.active:
                return RunState.FINISHED
            if decision.stop:
                self.lifecycle.save_all(self.slot_manager.in_order(), self.round)
                return RunState.PREEMPTED
            self.comm.first_round()
            self._one_round(self.round + 1, self.slot_manager.in_order())
            decision = self._decide()

    def _one_round(self, number: int, active_languages: Sequence[ActiveLanguage]) -> None:
        began, waited, saved = perf_counter(), self.loader.wait_seconds, self.lifecycle.save_seconds
        reading, read_audio = self.loader.reading.seconds, self.loader.reading.audio_seconds
        self.comm.watchdog.mark(f"reading round {number}")
        batches = self.loader.take(active.request() for active in active_languages)
        self.loader.prefetch(self._ahead(active_languages))
        computing = perf_counter()
        sums = self.gradients.accumulate(batches, self.slot_manager.active_languages)
        totals = self.exchange.complete(active_languages, batches, sums.sums_S)
        self._stepping = True
        outcomes, losses = self._step([t for t in active_languages if totals[t.language].utterances], number, sums)
        compute_seconds = perf_counter() - computing
        results = [
            LanguageStepResult(active, outcomes.get(active.language), totals[active.language], batch.damaged)
            for active, batch in zip(active_languages, batches, strict=True)
            if not active.is_replaying(number)
        ]
        self.lifecycle.after_steps(results, number)
        self.round, self._stepping = number, False
        self.lifecycle.tell_notices(number)
        report = RoundReport(
            round=number,
            languages=[
                _language_round(result, result.outcome, losses[result.active.slot])
                for result in results
                if result.outcome and result.active.is_led_here
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
            save_all_seconds=self.lifecycle.save_all_seconds(active_languages),
            memory_bytes=memory_bytes(),
            waiting=self.scheduler.waiting,
            finished=self.scheduler.ended,
        )
        self.monitor.round(report)

    def _step(
        self, active_languages: Sequence[ActiveLanguage], number: int, sums: RoundLosses
    ) -> tuple[dict[str, Outcome], list[float]]:
        """One optimizer step of every language whose batch could be read; all go on in their streams.

        What came of them, and the losses by slot: with these the host waits for the device, once a round.
        """
        for active in self.slot_manager.active_languages.values():
            active.position = active.stream.next(active.position)
        rows = [
            RowStep(t.slot, t.progress.step + 1, t.settings.optim, not t.is_replaying(number)) for t in active_languages
        ]
        losses, norms = transfer.numbers(sums.sums_S, self.optimizer.step_rows(rows))
        outcomes = outcomes_of(rows, norms)
        return {t.language: outcome for t, outcome in zip(active_languages, outcomes, strict=True)}, losses

    def _admit_and_release(self, decision: RoundDecision) -> RoundDecision:
        """Release the languages that have ended, and admit the next, until nobody new comes."""
        while True:
            came, mine = self.slot_manager.update(decision.ended, self.round)
            if not came:
                return RoundDecision(decision.stop, [])
            if not decision.stop:
                self.lifecycle.admitted(mine, self.round, self.stop_requested)
            decision = self._decide()

    def _decide(self) -> RoundDecision:
        """One small collective: what any rank has to say at this round's edge, all know."""
        languages, ended = self.scheduler.in_order(), set(self.slot_manager.ended(self.round))
        flags = [self.stop_requested(), self.monitor.is_due, *(language in ended for language in languages)]
        stop, due, *over = self.comm.all_reduce_max(
            [int(flag) for flag in flags], about=f"the edge after round {self.round}"
        )
        if due:
            self.monitor.deliver()
        return RoundDecision(bool(stop), [language for language, flag in zip(languages, over, strict=True) if flag])

    def _ahead(self, active_languages: Sequence[ActiveLanguage]) -> list[BatchRequest]:
        """What the next rounds will probably ask for, the nearest first."""
        requests = []
        positions = {active.language: active.position for active in active_languages}
        for _ in range(self.prefetch_rounds):
            for active in active_languages:
                positions[active.language] = active.stream.next(positions[active.language])
                requests.append(BatchRequest(active.language, positions[active.language]))
        return requests


def _language_round(result: LanguageStepResult, outcome: Outcome, loss: float) -> LanguageRound:
    active, totals = result.active, result.totals
    progress, optim = active.progress, active.settings.optim
    return LanguageRound(
        language=active.language,
        step=progress.step,
        steps=optim.steps,
        epoch=active.stream.progress(active.position),
        loss=loss,
        lr=learning_rate(progress.step, optim),
        grad_norm=outcome.grad_norm,
        utterances=totals.utterances,
        audio_seconds=totals.samples / SAMPLE_RATE,
    )
