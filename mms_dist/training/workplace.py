"""Moving a language in and out: between its checkpoint and its slot in the bank, the optimizer and the loader."""

from dataclasses import dataclass

from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.loader import BatchLoader
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.model.bank import AdapterBank
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.features import FeatureSource
from mms_dist.training.initial_adapters import InitialAdapters
from mms_dist.training.optimizer import RowAdamW
from mms_dist.training.progress import ACTIVE, Progress
from mms_dist.training.roster import Candidate
from mms_dist.training.selection import trainable
from mms_dist.training.trainee import Trainee
from shards.index import ShardIndex


@dataclass
class Workplace:
    """The parts that hold something of an active language."""

    config: Config
    base_identity: str
    bank: AdapterBank
    optimizer: RowAdamW
    loader: BatchLoader
    features: FeatureSource
    store: CheckpointStore
    index: ShardIndex
    monitor: Monitor

    def enter(self, candidate: Candidate, slot: int, round_number: int) -> Trainee | None:
        """Put a language into a slot after round `round_number`, from its checkpoint or anew.

        None if it had ended, and its company in the rounds since cannot be had again.
        """
        language = candidate.language
        index = self.index.language(language)
        settings = self.config.for_language(language)
        stream = LanguageStream(
            trainable(index.table("train"), max_seconds=self.config.data.max_seconds),
            language=language,
            seed=self.config.run.seed,
            batch_seconds=settings.optim.batch_seconds,
            window_shards=self.config.data.window_shards,
        )
        progress = candidate.restored or Progress(language, round=round_number, admitted_round=round_number)
        trainee = Trainee(progress, settings, stream, index.vocabulary, slot, progress.position)
        if candidate.restored is None:
            first = InitialAdapters(self.bank.layout, self.config.run.seed)
            self.bank.load(slot, first.tensors(settings.adapter.init, index.vocabulary))
            self.optimizer.load(slot, None)
        elif not self._restore(trainee, round_number):
            return None
        self.loader.add(stream, index.vocabulary)
        return trainee

    def leave(self, trainee: Trainee) -> None:
        """Leave nothing of a language behind in its slot."""
        self.loader.remove(trainee.language)
        self.features.forget(trainee.language)
        self.bank.scrub(trainee.slot)
        self.optimizer.load(trainee.slot, None)

    def snapshot(self, trainee: Trainee) -> Snapshot:
        """A copy of all of the language, as it is now."""
        return Snapshot(
            language=trainee.language,
            step=trainee.progress.step,
            adapter=self.bank.tensors(trainee.slot),
            optimizer=self.optimizer.moments(trainee.slot),
            state=trainee.progress.to_state() | {"stream": trainee.stream.fingerprint, "base": self.base_identity},
            vocabulary=trainee.vocabulary.nested(),
        )

    def is_finite(self, trainee: Trainee) -> bool:
        """Whether weights and moments are numbers that training can go on from."""
        moments = self.optimizer.moments(trainee.slot).values()
        return all(bool(tensor.isfinite().all()) for tensor in (self.bank.row(trainee.slot), *moments))

    def _restore(self, trainee: Trainee, round_number: int) -> bool:
        """Load the checkpoint, and find the place in the stream at which the language goes on.

        False, and nothing loaded, if it has ended and cannot keep the others company.
        """
        progress = trainee.progress
        snapshot = self.store.newest(trainee.language)
        assert snapshot is not None, "only languages with a checkpoint are restored"
        unchanged = snapshot.state["stream"] == trainee.stream.fingerprint
        held = unchanged and progress.admitted_round <= round_number <= progress.round
        if not held and progress.status != ACTIVE:
            return False
        self.bank.load(trainee.slot, snapshot.adapter)
        self.optimizer.load(trainee.slot, snapshot.optimizer)
        if held:
            trainee.held_until = progress.round
            trainee.position = trainee.stream.back(progress.position, progress.round - round_number)
            return True
        if not unchanged:
            self.monitor.event("data_changed", language=trainee.language, round=round_number, step=progress.step)
            progress.position = Position(progress.position.epoch + 1, 0)
        trainee.position = progress.position
        _restart_clock(progress, round_number)
        return True


def _restart_clock(progress: Progress, round_number: int) -> None:
    """Let the language go on now from where it is, whatever round it was saved at."""
    progress.admitted_round += round_number - progress.round
    progress.round = round_number
