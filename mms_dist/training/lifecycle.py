"""What happens to a language between two rounds: evaluated, saved, finished, quarantined, replaced by the next.

Everything here concerns one language at a time and changes nothing of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.batch import DamagedSample, LoadedBatch
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import EvaluationReport
from mms_dist.training.evaluate import Evaluator
from mms_dist.training.optimizer import Outcome
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED
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
    ended: int = 0
    """Languages that are done, quarantined ones included."""
    save_seconds: float = 0.0
    """How long training has waited for saving so far."""
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
        assert progress.status == ACTIVE, f"{trainee.language} has ended and was trained"
        self._report_damage(batch.damaged, round_number)
        progress.round, progress.position = round_number, trainee.position
        if outcome is None:
            self._nothing_read(trainee)
        elif not outcome.stepped:
            self._quarantine(trainee, f"the norm of its gradient is {outcome.grad_norm}")
        else:
            progress.step += 1
            progress.unread_batches = 0
            progress.utterances += len(batch.utterances)
            progress.audio_seconds += batch.audio_seconds
        if progress.status == ACTIVE:
            self._settle(trainee, stepped=outcome is not None)

    def save_all(self, trainees: Iterable[Trainee], round_number: int) -> None:
        """Before an early end: a checkpoint of every live language at this round."""
        for trainee in trainees:
            if not trainee.is_held(round_number) and trainee.progress.status == ACTIVE:
                self._save(trainee, best=False)

    def _settle(self, trainee: Trainee, *, stepped: bool) -> None:
        """Evaluate, finish and save where it is time to."""
        progress, steps = trainee.progress, trainee.settings.optim.steps
        due = progress.step % self.config.evaluation.every_steps == 0 or progress.step >= steps
        best = stepped and due and self._evaluate(trainee)
        reason = "steps" if progress.step >= steps else progress.best.reason_to_stop(trainee.settings.stopping)
        if reason is not None:
            progress.status, progress.reason = FINISHED, reason
        if best or reason is not None or progress.round % self.config.checkpoint.every_rounds == 0:
            self._save(trainee, best=best)
        if progress.status == FINISHED:
            self.ended += 1
            self.monitor.event(
                "finished", language=trainee.language, round=progress.round, step=progress.step, reason=reason
            )

    def _evaluate(self, trainee: Trainee) -> bool:
        """Measure the dev split; True if this is the language's best so far."""
        progress, index = trainee.progress, self.index.language(trainee.language)
        transcription = self.evaluator.transcribe(index, "dev", trainee.slot)
        self._report_damage(
            [DamagedSample(trainee.language, key, "dev", "unreadable") for key in transcription.damaged], progress.round
        )
        if not transcription.keys:
            return True  # nothing to choose by: the newest is the best there is
        scores = transcription.scores()
        best = progress.best.record(progress.step, scores.cer, scores.wer, trainee.settings.stopping)
        examples = list(zip(transcription.references, transcription.hypotheses, strict=True))[:EXAMPLES_SHOWN]
        self.monitor.evaluated(
            EvaluationReport(trainee.language, progress.step, progress.round, scores, best, examples)
        )
        return best

    def _save(self, trainee: Trainee, *, best: bool) -> None:
        """Hand a copy of the language to the store, which tells when it is on the disk."""
        if not self.workplace.is_finite(trainee):
            self._quarantine(trainee, "its weights or moments are no longer finite")
            return
        began, progress = perf_counter(), trainee.progress
        tell = partial(self._saved, language=trainee.language, round=progress.round, step=progress.step, best=best)
        self.store.save_later(self.workplace.snapshot(trainee), best=best, saved=tell)
        self.save_seconds += perf_counter() - began

    def _saved(self, path: Path, *, language: str, round: int, step: int, best: bool) -> None:
        self.monitor.event("checkpoint_saved", language=language, round=round, step=step, best=best)

    def _nothing_read(self, trainee: Trainee) -> None:
        """A batch of which every utterance is damaged is passed over; a whole epoch of them is the end."""
        progress = trainee.progress
        progress.unread_batches += 1
        if progress.unread_batches >= len(trainee.stream.batches(trainee.position.epoch)):
            self._quarantine(
                trainee,
                "none of its training utterances could be read in a whole epoch; "
                f"`mms-dist shards verify {self.config.data.shards}` lists what is wrong",
            )

    def _quarantine(self, trainee: Trainee, reason: str) -> None:
        """Take one language out; its last good checkpoint stays, and the others do not notice."""
        progress = trainee.progress
        progress.status, progress.reason = QUARANTINED, reason
        write_quarantine(self.store.directory, progress)
        self.ended += 1
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
