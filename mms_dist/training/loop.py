"""The round loop.

In each round every active language contributes one optimizer batch and takes one optimizer step. All ranks run the
same rounds. After each round one small collective tells every rank whether to stop and which languages have ended.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mms_dist.data.batch import BatchRequest, LoadedBatch
from mms_dist.data.loader import BatchLoader
from mms_dist.distributed.comm import Comm
from mms_dist.errors import MmsDistError
from mms_dist.model import transfer
from mms_dist.model.optimizer import Outcome, RowAdamW, RowStep, outcomes_of
from mms_dist.run_directory.status_file import RunState
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.exchange import GradientExchange
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.lifecycle import LanguageStepResult, Lifecycle
from mms_dist.training.observer import Observer
from mms_dist.training.report_collector import ReportCollector
from mms_dist.training.round_meter import RoundMeter
from mms_dist.training.scheduler import LanguageScheduler
from mms_dist.training.slot_manager import SlotManager
from shards.errors import ShardsError


@dataclass(frozen=True)
class RoundDecision:
    """The decision of all ranks between two rounds: whether to stop, and which languages have ended."""

    stop: bool
    ended: Sequence[str]


@dataclass(kw_only=True)
class RoundLoop:
    """Trains until every language is done, or until any rank is asked to stop.

    Attributes:
        round: last round that is done.
        prefetch_rounds: rounds of audio to read ahead.
    """

    comm: Comm
    scheduler: LanguageScheduler
    slot_manager: SlotManager
    loader: BatchLoader
    gradients: GradientPass
    exchange: GradientExchange
    optimizer: RowAdamW
    lifecycle: Lifecycle
    report_collector: ReportCollector
    observer: Observer
    meter: RoundMeter
    prefetch_rounds: int
    round: int
    stop_requested: Callable[[], bool]
    _stepping: bool = False
    """True from the first optimizer step of a round until all languages are updated; no checkpoint is possible then."""

    def run(self) -> str:
        """Run all rounds; return `finished`, or `preempted` with a checkpoint of every language.

        On a machine or data error (full disk, damaged shard, lost peer), also save every language of this rank, unless
        the error occurred during the optimizer steps, when languages may be at different rounds.
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
            self.comm.first_round()  # all ranks are here and will end in order
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

    def _one_round(self, number: int, languages: Sequence[ActiveLanguage]) -> None:
        self.observer.before_round(number, languages)
        measure = self.meter.begin()
        batches = self._read(number, languages)
        measure.read()
        passes = self.gradients.accumulate(batches, self.slot_manager.active_languages)
        self.observer.after_passes({active.language: self.exchange.gradient(active) for active in languages})
        totals = self.exchange.complete(languages, batches, passes.sums_S)
        self._stepping = True
        outcomes, losses_S = self._step([t for t in languages if totals[t.language].utterances], number, passes)
        measure.computed()
        results = [
            LanguageStepResult(active, outcomes.get(active.language), totals[active.language], batch.damaged)
            for active, batch in zip(languages, batches, strict=True)
            if not active.is_replaying(number)
        ]
        self.lifecycle.after_steps(results, number)
        self.round, self._stepping = number, False
        self.lifecycle.report_notices(number)
        self.observer.after_round(measure.report(number, results, passes, losses_S))

    def _read(self, number: int, languages: Sequence[ActiveLanguage]) -> list[LoadedBatch]:
        """Read the batches of the round, and begin to read those that the next rounds will probably request."""
        self.comm.watchdog.mark(f"reading round {number}")
        batches = self.loader.take(active.request() for active in languages)
        self.loader.prefetch(self._upcoming_requests(languages))
        return batches

    def _step(
        self, active_languages: Sequence[ActiveLanguage], number: int, sums: RoundLosses
    ) -> tuple[dict[str, Outcome], list[float]]:
        """Take one optimizer step for every language with a readable batch; advance the streams of all languages.

        Returns:
            Outcome of each step by language, and losses by slot. Reading them is the round's one wait for the device.
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
        """Release the languages that have ended and admit the next ones, until none is left to admit."""
        while True:
            admitted, mine = self.slot_manager.update(decision.ended, self.round)
            if not admitted:
                return RoundDecision(decision.stop, [])
            if not decision.stop:
                self.lifecycle.admitted(mine, self.round, self.stop_requested)
            decision = self._decide()

    def _decide(self) -> RoundDecision:
        """Agree with all ranks, in one small collective, on whether to stop and which languages have ended."""
        languages, ended = self.scheduler.in_order(), set(self.slot_manager.ended(self.round))
        flags = [self.stop_requested(), self.report_collector.is_due, *(language in ended for language in languages)]
        stop, due, *ended_flags = self.comm.all_reduce_max(
            [int(flag) for flag in flags], about=f"the end of round {self.round}"
        )
        if due:
            self.report_collector.deliver()
        ended_anywhere = [language for language, flag in zip(languages, ended_flags, strict=True) if flag]
        return RoundDecision(bool(stop), ended_anywhere)

    def _upcoming_requests(self, active_languages: Sequence[ActiveLanguage]) -> list[BatchRequest]:
        """Return the requests that the next rounds will probably make, soonest first."""
        requests = []
        positions = {active.language: active.position for active in active_languages}
        for _ in range(self.prefetch_rounds):
            for active in active_languages:
                positions[active.language] = active.stream.next(positions[active.language])
                requests.append(BatchRequest(active.language, positions[active.language]))
        return requests
