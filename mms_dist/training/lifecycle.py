"""Evaluate, save, finish or quarantine languages between rounds.

Every operation here acts on one language and leaves the others unchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.data.batch import DamagedSample
from mms_dist.distributed.placement import RankGroup
from mms_dist.errors import TrainingError
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.model.optimizer import Outcome
from mms_dist.monitor.reports import EvaluationReport
from mms_dist.run_directory.quarantine import QuarantineMark, write_mark
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.dev_evaluation import SPLIT, DevEvaluation
from mms_dist.training.ending import is_unscored
from mms_dist.training.exchange import BatchTotals
from mms_dist.training.language_slots import LanguageSlots
from mms_dist.training.observer import Observer
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED
from mms_dist.training.report_collector import DAMAGED, Notices
from shards.schema import SAMPLE_RATE

EXAMPLES_SHOWN = 3


@dataclass(frozen=True)
class LanguageStepResult:
    """One language's result of a round: its step (None if no utterance of its batch could be read) and its batch.

    A replaying language has no result.
    """

    active: ActiveLanguage
    outcome: Outcome | None
    totals: BatchTotals
    damaged: Sequence[DamagedSample] = ()


@dataclass(kw_only=True)
class Lifecycle:
    """Manages the languages of this rank from admission to their end.

    All owners of a language make the same decisions. Only its first owner writes checkpoints and reports events.
    """

    evaluate_every_steps: int
    save_every_rounds: int
    language_slots: LanguageSlots
    store: CheckpointStore
    dev: DevEvaluation
    observer: Observer
    notices: Notices = field(default_factory=Notices)
    """Notices from the components of this rank, not yet reported."""
    save_seconds: float = 0.0
    """Total time training has waited for saving."""
    evaluation_seconds: float = 0.0
    """Total time spent on evaluation, including evaluation before a language's first round."""
    steps_taken: int = 0
    """Optimizer steps since the start, of the languages whose first owner is this rank."""
    quarantined: dict[str, QuarantineMark] = field(default_factory=dict)
    """Mark of each quarantined language whose first owner was this rank."""
    unscored: list[str] = field(default_factory=list)
    """Languages, with this rank as first owner, that ended unscored because no dev utterance could be read."""

    def admitted(
        self, active_languages: Sequence[ActiveLanguage], round_number: int, stop_requested: Callable[[], bool]
    ) -> None:
        """Evaluate newly admitted languages and save their first checkpoints.

        All pending checkpoints are on disk before the next round begins. After a kill, exactly the languages that had
        been admitted have checkpoints. If any owner of a language is asked to stop, the language is skipped here and
        evaluated after the restart.
        """
        live = [active for active in active_languages if not active.is_replaying(round_number + 1)]
        for active in live:
            self._report_event(active, "admitted", round=round_number, step=active.progress.step)
        new = [t for t in live if t.progress.step == 0 and t.progress.best.cer is None]
        in_lockstep = self.dev.lockstep.is_needed
        for languages in [new] if in_lockstep else [[active] for active in new]:
            owners = RankGroup(0, self.dev.comm.world) if in_lockstep else languages[0].group
            if any(self.dev.comm.all_gather_in(owners, stop_requested())):
                continue
            transcriptions = self._transcribe(languages)
            for active in languages:
                self._save(active, best=self._judge(active, transcriptions[active.language]))
        self.store.drain()

    def after_steps(self, results: Sequence[LanguageStepResult], round_number: int) -> None:
        """Update the languages of this rank after a round, evaluate those that are due, then finish or save them."""
        for result in results:
            self._record_step(result, round_number)
        due = [result.active for result in results if result.outcome is not None and self._is_due(result.active)]
        transcriptions = self._transcribe(due)
        for result in results:
            if result.active.progress.status == ACTIVE:
                self._finish_or_save(result.active, transcriptions.get(result.active.language))

    def report_notices(self, round_number: int) -> None:
        """Report the notices of this rank as events."""
        for event in self.notices.take():
            self.observer.event(event.kind, round=round_number, **event.fields)

    def save_all(self, active_languages: Iterable[ActiveLanguage], round_number: int) -> None:
        """Save every active language that is not replaying, before an early end."""
        for active in active_languages:
            if not active.is_replaying(round_number) and active.progress.status == ACTIVE:
                self._save(active, best=False)

    def save_all_seconds(self, active_languages: Iterable[ActiveLanguage]) -> float:
        """Estimate how long `save_all` and its writes take, if every write is as slow as the slowest so far."""
        return self.store.longest_write_seconds * sum(active.is_led_here for active in active_languages)

    def _transcribe(self, active_languages: Sequence[ActiveLanguage]) -> dict[str, Transcription]:
        if active_languages:
            self.observer.before_evaluation([active.language for active in active_languages])
        began = perf_counter()
        transcriptions = self.dev.transcribe(active_languages)
        self.evaluation_seconds += perf_counter() - began
        return transcriptions

    def _record_step(self, result: LanguageStepResult, round_number: int) -> None:
        """Record a round in the language's progress."""
        active, progress = result.active, result.active.progress
        assert progress.status == ACTIVE, f"{active.language} was trained after it had ended"
        self._report_damage(result.damaged, round_number)
        progress.round, progress.position = round_number, active.position
        if result.outcome is None:
            self._count_unread_batch(active)
        elif not result.outcome.stepped:
            self._quarantine(active, TrainingError(f"the norm of its gradient is {result.outcome.grad_norm}"))
        else:
            progress.step += 1
            self.steps_taken += active.is_led_here
            progress.unread_batches = 0
            progress.utterances += result.totals.utterances
            progress.audio_seconds += result.totals.samples / SAMPLE_RATE

    def _is_due(self, active: ActiveLanguage) -> bool:
        """Return whether the language is due for evaluation after its step."""
        progress = active.progress
        regular = progress.step % self.evaluate_every_steps == 0
        return progress.status == ACTIVE and (regular or progress.step >= active.settings.optim.steps)

    def _finish_or_save(self, active: ActiveLanguage, transcription: Transcription | None) -> None:
        """Finish the language if a stopping rule applies; save it if it is finished, due or the best so far."""
        progress = active.progress
        best = transcription is not None and self._judge(active, transcription)
        reason = (
            "steps"
            if progress.step >= active.settings.optim.steps
            else progress.best.reason_to_stop(active.settings.stopping)
        )
        if reason is not None:
            progress.status, progress.reason = FINISHED, reason
            if active.is_led_here and is_unscored(progress, self.dev.index):
                self.unscored.append(active.language)
        if best or reason is not None or progress.round % self.save_every_rounds == 0:
            self._save(active, best=best)
        if progress.status == FINISHED:
            self._report_event(active, "finished", round=progress.round, step=progress.step, reason=reason)

    def _judge(self, active: ActiveLanguage, transcription: Transcription) -> bool:
        """Score the dev split; return True if this is the language's best so far."""
        progress = active.progress
        if active.is_led_here:
            self._report_damage(transcription.damaged, progress.round)
        if not transcription.keys:
            return True  # without scores, the newest checkpoint is the best one
        scores = transcription.scores(ScoringRules.of(active.language, transcription.references))
        best = progress.best.record(progress.step, scores.cer, scores.wer, active.settings.stopping)
        if active.is_led_here:
            examples = list(zip(transcription.references, transcription.hypotheses, strict=True))[:EXAMPLES_SHOWN]
            rows = transcription.rows[:EXAMPLES_SHOWN] if progress.step == 0 else []
            audio = self.dev.evaluator.recordings(active.language, SPLIT, rows)
            self.observer.evaluated(
                EvaluationReport(active.language, progress.step, progress.round, scores, best, examples, audio)
            )
        return best

    def _save(self, active: ActiveLanguage, *, best: bool) -> None:
        """Hand a copy of the language to the store, which calls `_saved` once it is on disk."""
        if not self.language_slots.is_finite(active):  # every owner checks, because all must decide the same
            self._quarantine(active, TrainingError("its weights or moments are no longer finite"))
            return
        if not active.is_led_here:
            return
        began, progress = perf_counter(), active.progress
        saved = partial(self._saved, language=active.language, round=progress.round, step=progress.step, best=best)
        self.store.save_later(self.language_slots.snapshot(active), best=best, saved=saved)
        self.save_seconds += perf_counter() - began

    def _saved(self, path: Path, *, language: str, round: int, step: int, best: bool) -> None:
        self.observer.event("checkpoint_saved", language=language, round=round, step=step, best=best)

    def _count_unread_batch(self, active: ActiveLanguage) -> None:
        """Skip a batch in which every utterance is damaged; quarantine the language after a whole epoch of them."""
        progress = active.progress
        progress.unread_batches += 1
        if progress.unread_batches >= len(active.stream.batches(active.position.epoch)):
            problem = TrainingError(
                "none of its training utterances could be read in a whole epoch",
                fix=f"`mms-dist shards verify {self.dev.index.root}` lists the damage",
            )
            self._quarantine(active, problem)

    def _quarantine(self, active: ActiveLanguage, problem: TrainingError) -> None:
        """Quarantine one language: stop training it and keep its last good checkpoint. Other languages continue."""
        progress = active.progress
        progress.status, progress.reason = QUARANTINED, str(problem)
        if active.is_led_here:
            write_mark(self.store.directory, active.language, progress.to_state())
            self.quarantined[active.language] = QuarantineMark(progress.step, str(problem))
        self._report_event(active, "quarantined", round=progress.round, step=progress.step, reason=str(problem))

    def _report_event(self, active: ActiveLanguage, kind: str, **fields: Any) -> None:
        """Report an event of a language, on its first owner only."""
        if active.is_led_here:
            self.observer.event(kind, language=active.language, **fields)

    def _report_damage(self, damaged: Iterable[DamagedSample], round_number: int) -> None:
        for sample in damaged:
            self.observer.event(
                DAMAGED,
                language=sample.id.language,
                round=round_number,
                key=sample.key,
                split=sample.id.split,
                row=sample.id.row,
                shard=sample.shard,
                reason=sample.reason,
            )
