"""What happens to a language between two rounds: evaluated, saved, finished, quarantined, replaced by the next.

Everything here concerns one language at a time and changes nothing of the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.batch import DamagedSample
from mms_dist.distributed.placement import RankGroup
from mms_dist.monitor.report import EvaluationReport
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.dev_scores import DevScores
from mms_dist.training.ending import is_unscored, quarantine_line
from mms_dist.training.evaluate import Transcription
from mms_dist.training.exchange import BatchTotals
from mms_dist.training.language_slots import LanguageSlots
from mms_dist.training.notices import Notices
from mms_dist.training.optimizer import Outcome
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED
from mms_dist.training.quarantine import write_quarantine
from mms_dist.training.report_collector import ReportCollector
from shards.schema import SAMPLE_RATE

EXAMPLES_SHOWN = 3


@dataclass(frozen=True)
class LanguageStepResult:
    """A live language's part in a round: its step (None if no utterance of its batch could be read) and its batch."""

    active: ActiveLanguage
    outcome: Outcome | None
    totals: BatchTotals
    damaged: Sequence[DamagedSample] = ()


@dataclass
class Lifecycle:
    """Carries the languages of this rank from admission to their end.

    All owners of a language come to the same decisions; its first owner writes and speaks.
    """

    config: Config
    language_slots: LanguageSlots
    store: CheckpointStore
    dev: DevScores
    monitor: ReportCollector
    notices: Notices = field(default_factory=Notices)
    """Of the parts of this rank."""
    save_seconds: float = 0.0
    """How long training has waited for saving so far."""
    evaluation_seconds: float = 0.0
    """How long evaluation has taken so far, that before a language's first round included."""
    steps_taken: int = 0
    """Optimizer steps of the languages that this rank speaks for, since it started."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Languages that this rank spoke for when they were quarantined, with `quarantine_line`."""
    unscored: list[str] = field(default_factory=list)
    """Languages that this rank speaks for and that ended unscored, as none of their dev utterances could be read."""

    def admitted(
        self, active_languages: Sequence[ActiveLanguage], round_number: int, stop_requested: Callable[[], bool]
    ) -> None:
        """Languages took their slots: measure where they start and make their first checkpoints.

        These, and whatever was saved before them, are on the disk before a round begins: after a kill every language
        that was under way is found, and none that had not been admitted yet. Once an owner of a language is asked to
        stop, it is passed over: it is made up for after the restart.
        """
        live = [active for active in active_languages if not active.is_replaying(round_number + 1)]
        for active in live:
            self._tell(active, "admitted", round=round_number, step=active.progress.step)
        new = [t for t in live if t.progress.step == 0 and t.progress.best.cer is None]
        in_step = self.dev.lockstep.is_needed
        for some in [new] if in_step else [[active] for active in new]:
            owners = RankGroup(0, self.dev.comm.world) if in_step else some[0].group
            if any(self.dev.comm.all_gather_in(owners, stop_requested())):
                continue
            transcriptions = self._transcribe(some)
            for active in some:
                self._save(active, best=self._judge(active, transcriptions[active.language]))
        self.store.drain()

    def after_steps(self, results: Sequence[LanguageStepResult], round_number: int) -> None:
        """The live languages of this rank took part in a round."""
        for result in results:
            self._note(result, round_number)
        due = [result.active for result in results if result.outcome is not None and self._is_due(result.active)]
        transcriptions = self._transcribe(due)
        for result in results:
            if result.active.progress.status == ACTIVE:
                self._finish_or_save(result.active, transcriptions.get(result.active.language))

    def tell_notices(self, round_number: int) -> None:
        """Whatever the parts of this rank have met that a user should know of, and goes on without."""
        for kind, reason in self.notices.take():
            self.monitor.event(kind, round=round_number, reason=reason)

    def save_all(self, active_languages: Iterable[ActiveLanguage], round_number: int) -> None:
        """Before an early end: a checkpoint of every live language at this round."""
        for active in active_languages:
            if not active.is_replaying(round_number) and active.progress.status == ACTIVE:
                self._save(active, best=False)

    def save_all_seconds(self, active_languages: Iterable[ActiveLanguage]) -> float:
        """How long `save_all` and the writing after it would take, were every write as slow as the slowest so far."""
        return self.store.longest_write_seconds * sum(active.is_led_here for active in active_languages)

    def _transcribe(self, active_languages: Sequence[ActiveLanguage]) -> dict[str, Transcription]:
        began = perf_counter()
        transcriptions = self.dev.transcribe(active_languages)
        self.evaluation_seconds += perf_counter() - began
        return transcriptions

    def _note(self, result: LanguageStepResult, round_number: int) -> None:
        """Take the round into the language's progress."""
        active, progress = result.active, result.active.progress
        assert progress.status == ACTIVE, f"{active.language} has ended and was trained"
        self._report_damage(result.damaged, round_number)
        progress.round, progress.position = round_number, active.position
        if result.outcome is None:
            self._nothing_read(active)
        elif not result.outcome.stepped:
            self._quarantine(active, f"the norm of its gradient is {result.outcome.grad_norm}")
        else:
            progress.step += 1
            self.steps_taken += active.is_led_here
            progress.unread_batches = 0
            progress.utterances += result.totals.utterances
            progress.audio_seconds += result.totals.samples / SAMPLE_RATE

    def _is_due(self, active: ActiveLanguage) -> bool:
        """Whether it is time to evaluate, after a step."""
        progress = active.progress
        regular = progress.step % self.config.evaluation.every_steps == 0
        return progress.status == ACTIVE and (regular or progress.step >= active.settings.optim.steps)

    def _finish_or_save(self, active: ActiveLanguage, transcription: Transcription | None) -> None:
        """Finish and save where it is time to."""
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
        if best or reason is not None or progress.round % self.config.checkpoint.every_rounds == 0:
            self._save(active, best=best)
        if progress.status == FINISHED:
            self._tell(active, "finished", round=progress.round, step=progress.step, reason=reason)

    def _judge(self, active: ActiveLanguage, transcription: Transcription) -> bool:
        """Score the dev split; True if this is the language's best so far."""
        progress = active.progress
        if active.is_led_here:
            self._report_damage(transcription.damaged, progress.round)
        if not transcription.keys:
            return True  # nothing to choose by: the newest is the best there is
        scores = transcription.scores()
        best = progress.best.record(progress.step, scores.cer, scores.wer, active.settings.stopping)
        if active.is_led_here:
            examples = list(zip(transcription.references, transcription.hypotheses, strict=True))[:EXAMPLES_SHOWN]
            self.monitor.evaluated(
                EvaluationReport(active.language, progress.step, progress.round, scores, best, examples)
            )
        return best

    def _save(self, active: ActiveLanguage, *, best: bool) -> None:
        """Hand a copy of the language to the store, which tells when it is on the disk."""
        if not self.language_slots.is_finite(active):  # every owner looks, as all must know
            self._quarantine(active, "its weights or moments are no longer finite")
            return
        if not active.is_led_here:
            return
        began, progress = perf_counter(), active.progress
        tell = partial(self._saved, language=active.language, round=progress.round, step=progress.step, best=best)
        self.store.save_later(self.language_slots.snapshot(active), best=best, saved=tell)
        self.save_seconds += perf_counter() - began

    def _saved(self, path: Path, *, language: str, round: int, step: int, best: bool) -> None:
        self.monitor.event("checkpoint_saved", language=language, round=round, step=step, best=best)

    def _nothing_read(self, active: ActiveLanguage) -> None:
        """A batch of which every utterance is damaged is passed over; a whole epoch of them is the end."""
        progress = active.progress
        progress.unread_batches += 1
        if progress.unread_batches >= len(active.stream.batches(active.position.epoch)):
            self._quarantine(
                active,
                "none of its training utterances could be read in a whole epoch; "
                f"`mms-dist shards verify {self.config.data.shards}` lists what is wrong",
            )

    def _quarantine(self, active: ActiveLanguage, reason: str) -> None:
        """Take one language out; its last good checkpoint stays, and the others do not notice."""
        progress = active.progress
        progress.status, progress.reason = QUARANTINED, reason
        if active.is_led_here:
            write_quarantine(self.store.directory, progress)
            self.quarantined[active.language] = quarantine_line(progress)
        self._tell(active, "quarantined", round=progress.round, step=progress.step, reason=reason)

    def _tell(self, active: ActiveLanguage, kind: str, **fields: Any) -> None:
        """One of a language's owners speaks for it."""
        if active.is_led_here:
            self.monitor.event(kind, language=active.language, **fields)

    def _report_damage(self, damaged: Iterable[DamagedSample], round_number: int) -> None:
        for sample in damaged:
            self.monitor.damaged(
                language=sample.id.language,
                round=round_number,
                key=sample.key,
                split=sample.id.split,
                row=sample.id.row,
                shard=sample.shard,
                reason=sample.reason,
            )
