"""Moving a language in and out: between its checkpoint, or another owner, and its slot in the bank, the optimizer and
the loader."""

from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor

from mms_dist import transfer
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.loader import BatchLoader
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.distributed.placement import Block
from mms_dist.errors import CheckpointError
from mms_dist.model.bank import AdapterBank
from mms_dist.training.earlier_identity import VERSIONS
from mms_dist.training.features import FeatureSource
from mms_dist.training.initial_adapters import InitialAdapters
from mms_dist.training.messenger import Messenger
from mms_dist.training.optimizer import RowAdamW
from mms_dist.training.progress import QUARANTINED, Progress
from mms_dist.training.roster import Candidate
from mms_dist.training.selection import trainable
from mms_dist.training.trainee import ALONE, Trainee
from shards.index import LanguageIndex, ShardIndex


@dataclass(frozen=True)
class Parcel:
    """A language on its way from one owner to another: everything of it that is not in the shards."""

    adapter: dict[str, Tensor]
    moments: dict[str, Tensor]
    progress: Progress
    position: Position
    held_until: int


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
    monitor: Messenger

    def enter(self, candidate: Candidate, slot: int, round_number: int, block: Block = ALONE, rank: int = 0) -> Trainee:
        """Put a language into a slot after round `round_number`, from its checkpoint or anew."""
        language = candidate.language
        anew = Progress(language, round=round_number, admitted_round=round_number)
        progress = deepcopy(candidate.restored) or anew  # what the roster knows of it stays as it is on other ranks
        trainee = self._trainee(progress, slot, block, rank)
        if candidate.restored is None:
            settings = self.config.for_language(language)
            first = InitialAdapters(self.bank.layout, self.config.run.seed)
            self.bank.load(slot, first.tensors(settings.adapter.init, trainee.vocabulary))
            self.optimizer.load(slot, None)
        else:
            self._restore(trainee, candidate, round_number)
        self.serve(trainee)
        return trainee

    def pack(self, trainee: Trainee) -> Parcel:
        """All of a language, for another owner."""
        return Parcel(
            adapter=self.bank.tensors(trainee.slot),
            moments=self.optimizer.moments(trainee.slot),
            progress=trainee.progress,
            position=trainee.position,
            held_until=trainee.held_until,
        )

    def unpack(self, parcel: Parcel, slot: int, block: Block, rank: int) -> Trainee:
        """Put a language that came from another owner into a slot."""
        trainee = self._trainee(parcel.progress, slot, block, rank)
        trainee.position, trainee.held_until = parcel.position, parcel.held_until
        self.bank.load(slot, parcel.adapter)
        self.optimizer.load(slot, parcel.moments)
        self.serve(trainee)
        return trainee

    def serve(self, trainee: Trainee) -> None:
        """Read this rank's share of a language's batches from now on."""
        self.loader.add(trainee.stream, trainee.vocabulary, trainee.share)

    def leave(self, trainee: Trainee) -> None:
        """Leave nothing of a language behind in its slot."""
        self.loader.remove(trainee.language)
        self.features.forget(trainee.language)
        self.index.language(trainee.language).forget()
        self.bank.scrub(trainee.slot)
        self.optimizer.load(trainee.slot, None)

    def snapshot(self, trainee: Trainee) -> Snapshot:
        """A copy of all of the language, as it is now."""
        return Snapshot(
            language=trainee.language,
            step=trainee.progress.step,
            adapter=self.bank.tensors(trainee.slot),
            optimizer=self.optimizer.moments(trainee.slot),
            state=trainee.progress.to_state()
            | {"stream": trainee.stream.fingerprint, "base": self.base_identity}
            | VERSIONS,
            vocabulary=trainee.vocabulary.nested(),
        )

    def is_finite(self, trainee: Trainee) -> bool:
        """Whether weights and moments are numbers that training can go on from."""
        ((finite,),) = transfer.numbers(self.optimizer.is_finite(trainee.slot))
        return bool(finite)

    def _trainee(self, progress: Progress, slot: int, block: Block, rank: int) -> Trainee:
        index = self.index.language(progress.language)
        settings = self.config.for_language(progress.language)
        stream = training_stream(self.config, index)
        return Trainee(progress, settings, stream, index.vocabulary, slot, progress.position, block=block, rank=rank)

    def _restore(self, trainee: Trainee, candidate: Candidate, round_number: int) -> None:
        """Load the checkpoint, and find the place in the stream at which the language goes on."""
        progress = trainee.progress
        snapshot = self.store.newest(trainee.language)
        assert snapshot is not None, "only languages with a checkpoint are restored"
        if progress.status != QUARANTINED and snapshot.step != progress.step:
            raise CheckpointError(
                f"rank {trainee.rank} reads step {snapshot.step} of {trainee.language} as the newest whole checkpoint, "
                f"another rank has read step {progress.step}: look at the file system of this machine, then run the "
                "same command again"
            )
        self.bank.load(trainee.slot, snapshot.adapter)
        self.optimizer.load(trainee.slot, snapshot.optimizer)
        if candidate.keeps_company(round_number):
            trainee.held_until = progress.round
            trainee.position = trainee.stream.back(progress.position, progress.round - round_number)
            return
        if not candidate.unchanged:
            if trainee.is_led_here:
                self.monitor.event("data_changed", language=trainee.language, round=round_number, step=progress.step)
            progress.position = Position(progress.position.epoch + 1, 0)
        trainee.position = progress.position
        _restart_clock(progress, round_number)


def training_stream(config: Config, index: LanguageIndex) -> LanguageStream:
    """The language's optimizer batches."""
    return LanguageStream(
        trainable(index.table("train"), max_seconds=config.data.max_seconds),
        language=index.language,
        seed=config.run.seed,
        batch_seconds=config.for_language(index.language).optim.batch_seconds,
        window_shards=config.data.window_shards,
    )


def _restart_clock(progress: Progress, round_number: int) -> None:
    """Let the language go on now from where it is, whatever round it was saved at."""
    progress.admitted_round += round_number - progress.round
    progress.round = round_number
