"""What happens to a language between two rounds: evaluated, saved, finished, quarantined, replaced by the next.

Everything here concerns one language at a time and changes nothing of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.batch import DamagedSample, LoadedBatch
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import EvaluationReport
from mms_dist.training.evaluate import Evaluator
from mms_dist.training.optimizer import Outcome
from mms_dist.training.progress import FINISHED, QUARANTINED
from mms_dist.training.quarantine import write_quarantine
from mms_dist.training.trainee import Trainee
from mms_dist.training.workplace import Workplace
from shards.index import ShardIndex

EXAMPLES_SHOWN = 3


@dataclass
class Lifecycle:
    """Carries the languages of a run from admission to their end."""

    config: Config
    workplace: Workplace
    store: CheckpointStore
    evaluator: Evaluator
    index: ShardIndex
    monitor: Monitor
    save_seconds: float = 0.0
    """How long training has waited for saving so far."""
    finished: int = 0
    _damaged: set[tuple[str, str]] = field(default_factory=set)

    def admitted(self, trainee: Trainee, round_number: int) -> None:
        """A language took its slot: measure where it starts and make its first checkpoint."""
        if trainee.is_held(round_number + 1):
            return
        self.monitor.event("admitted", language=trainee.language, round=round_number, step=trainee.progress.step)
        if trainee.progress.step == 0 and trainee.progress.best.cer is None:
            self._save(trainee, best=self._evaluate(trainee))

    def after_step(self, trainee: Trainee, outcome: Outcome | None, batch: LoadedBatch, round_number: int) -> None:
        """A live language took part in a round; `outcome` is None if no utterance of its batch could be read."""
        progress = trainee.progress
        self._report_damage(batch.damaged, round_number)
        progress.round, progress.position = round_number, trainee.position
        if outcome is not None and not outcome.stepped:
            self._quarantine(trainee, f"the norm of its gradient is {outcome.grad_norm}")
            return
        if outcome is not None:
            progress.step += 1
            progress.utterances += len(batch.utterances)
            progress.audio_seconds += batch.audio_seconds
        optim = trainee.settings.optim
        due = outcome is not None and progress.step % self.config.evaluation.every_steps == 0
        best = (due or progress.step >= optim.steps) and self._evaluate(trainee)
        reason = "steps" if progress.step >= optim.steps else progress.best.reason_to_stop(trainee.settings.stopping)
        if reason is not None:
            progress.status, progress.reason = FINISHED, reason
        if best or reason is not None or round_number % self.config.checkpoint.every_rounds == 0:
            self._save(trainee, best=best)
        if reason is not None:
            self.finished += 1
            self.monitor.event(
                "finished", language=trainee.language, round=round_number, step=progress.step, reason=reason
            )

    def save_all(self, trainees: Iterable[Trainee], round_number: int) -> None:
        """Before an early end: a checkpoint of every live language at this round."""
        for trainee in trainees:
            if not trainee.is_held(round_number):
                self._save(trainee, best=False)

    def _evaluate(self, trainee: Trainee) -> bool:
        """Measure the dev split; True if this is the language's best so far."""
        progress, index = trainee.progress, self.index.language(trainee.language)
        if not self.evaluator.has(index, "dev"):
            return True  # nothing to choose by: the newest is the best there is
        transcription = self.evaluator.transcribe(index, "dev", trainee.slot)
        self._report_damage(
            [DamagedSample(trainee.language, key, "dev", "unreadable") for key in transcription.damaged], progress.round
        )
        scores = transcription.scores()
        best = progress.best.record(progress.step, scores.cer, scores.wer, trainee.settings.stopping)
        examples = list(zip(transcription.references, transcription.hypotheses, strict=True))[:EXAMPLES_SHOWN]
        self.monitor.evaluated(
            EvaluationReport(trainee.language, progress.step, progress.round, scores, best, examples)
        )
        return best

    def _save(self, trainee: Trainee, *, best: bool) -> None:
        began = perf_counter()
        self.store.save_later(self.workplace.snapshot(trainee), best=best)
        self.save_seconds += perf_counter() - began
        progress = trainee.progress
        self.monitor.event(
            "checkpoint_saved", language=trainee.language, round=progress.round, step=progress.step, best=best
        )

    def _quarantine(self, trainee: Trainee, reason: str) -> None:
        """Take one language out; its last good checkpoint stays, and the others do not notice."""
        progress = trainee.progress
        progress.status, progress.reason = QUARANTINED, reason
        write_quarantine(self.store.directory, progress)
        self.finished += 1
        self.monitor.event(
            "quarantined", language=trainee.language, round=progress.round, step=progress.step, reason=reason
        )

    def _report_damage(self, damaged: Iterable[DamagedSample], round_number: int) -> None:
        """Once for each utterance, however often an epoch comes by it."""
        for sample in damaged:
            if (sample.language, sample.key) not in self._damaged:
                self._damaged.add((sample.language, sample.key))
                self.monitor.event(
                    "damaged_sample",
                    language=sample.language,
                    round=round_number,
                    key=sample.key,
                    shard=sample.shard,
                    reason=sample.reason,
                )
