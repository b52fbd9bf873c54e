"""Move a language into and out of its slot in bank, optimizer and loader, from a checkpoint or another owner."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor

from mms_dist.checkpoint.initial_adapters import InitialAdapters
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import LanguageSettings
from mms_dist.data.loader import BatchLoader
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.distributed.placement import RankGroup
from mms_dist.errors import CheckpointError
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model import transfer
from mms_dist.model.bank import AdapterBank
from mms_dist.model.optimizer import RowAdamW
from mms_dist.training.active_language import ALONE, ActiveLanguage
from mms_dist.training.observer import Observer
from mms_dist.training.progress import QUARANTINED, Progress
from mms_dist.training.random_changes import VERSIONS
from mms_dist.training.scheduler import QueuedLanguage
from shards.index import LanguageIndex, ShardIndex


@dataclass(frozen=True)
class LanguageState:
    """The complete state of a language, except its shards, as one owner sends it to another."""

    adapter: dict[str, Tensor]
    moments: dict[str, Tensor]
    progress: Progress
    position: Position
    replay_until_round: int


@dataclass(kw_only=True)
class LanguageSlots:
    """The components that hold state of an active language.

    Attributes:
        seed: `run.seed`, for new adapters.
        settings_of: returns the settings of a language, by its code.
        stream_of: returns the stream of a language's optimizer batches.
        base_identity: hash of the frozen weights, stored in checkpoints.
    """

    seed: int
    settings_of: Callable[[str], LanguageSettings]
    stream_of: Callable[[LanguageIndex], LanguageStream]
    base_identity: str
    bank: AdapterBank
    optimizer: RowAdamW
    loader: BatchLoader
    features: FeatureSource
    store: CheckpointStore
    index: ShardIndex
    observer: Observer

    def enter(
        self, queued: QueuedLanguage, slot: int, round_number: int, group: RankGroup = ALONE, rank: int = 0
    ) -> ActiveLanguage:
        """Load a language into a slot after round `round_number`, from its checkpoint or newly initialised."""
        language = queued.language
        new = Progress(language=language, round=round_number, admitted_round=round_number)
        progress = deepcopy(queued.restored) or new  # a copy: the scheduler's must stay equal on all ranks
        active = self._active_language(progress, slot, group, rank)
        if queued.restored is None:
            first = InitialAdapters(self.bank.layout, self.seed)
            self.bank.load(slot, first.create(active.settings.adapter.init, active.vocabulary).tensors)
            self.optimizer.load(slot, None)
        else:
            self._restore(active, queued, round_number)
        self.serve(active)
        return active

    def pack(self, active: ActiveLanguage) -> LanguageState:
        """Return the complete state of a language, to be sent to another owner."""
        return LanguageState(
            adapter=self.bank.tensors(active.slot),
            moments=self.optimizer.moments(active.slot),
            progress=active.progress,
            position=active.position,
            replay_until_round=active.replay_until_round,
        )

    def unpack(self, language_state: LanguageState, slot: int, group: RankGroup, rank: int) -> ActiveLanguage:
        """Load a language received from another owner into a slot."""
        active = self._active_language(language_state.progress, slot, group, rank)
        active.position, active.replay_until_round = language_state.position, language_state.replay_until_round
        self.bank.load(slot, language_state.adapter)
        self.optimizer.load(slot, language_state.moments)
        self.serve(active)
        return active

    def serve(self, active: ActiveLanguage) -> None:
        """Start loading this rank's share of a language's batches."""
        self.loader.add(active.stream, active.vocabulary, active.share)

    def leave(self, active: ActiveLanguage) -> None:
        """Remove a language from all components and clear its slot."""
        self.loader.remove(active.language)
        self.features.forget(active.language)
        self.index.language(active.language).forget()
        self.bank.scrub(active.slot)
        self.optimizer.load(active.slot, None)

    def snapshot(self, active: ActiveLanguage) -> Snapshot:
        """Copy the current state of a language."""
        return Snapshot(
            language=active.language,
            step=active.progress.step,
            adapter=self.bank.tensors(active.slot),
            optimizer=self.optimizer.moments(active.slot),
            state=active.progress.to_state()
            | {"stream": active.stream.fingerprint, "base": self.base_identity}
            | VERSIONS,
            vocabulary=active.vocabulary.nested(),
        )

    def is_finite(self, active: ActiveLanguage) -> bool:
        """Return whether all weights and optimizer moments are finite."""
        ((finite,),) = transfer.numbers(self.optimizer.is_finite(active.slot))
        return bool(finite)

    def _active_language(self, progress: Progress, slot: int, group: RankGroup, rank: int) -> ActiveLanguage:
        index = self.index.language(progress.language)
        settings, stream = self.settings_of(progress.language), self.stream_of(index)
        return ActiveLanguage(
            progress=progress,
            settings=settings,
            stream=stream,
            vocabulary=index.vocabulary,
            slot=slot,
            position=progress.position,
            group=group,
            rank=rank,
        )

    def _restore(self, active: ActiveLanguage, queued: QueuedLanguage, round_number: int) -> None:
        """Load the checkpoint and find the stream position to continue from."""
        progress = active.progress
        snapshot = self.store.newest(active.language)
        assert snapshot is not None, "only languages with a checkpoint are restored"
        if progress.status != QUARANTINED and snapshot.step != progress.step:
            raise CheckpointError(
                f"rank {active.rank} read step {snapshot.step} of {active.language} as its newest checkpoint, but "
                f"another rank read step {progress.step}",
                fix="check the file system of this machine, then run the same command again",
            )
        self.bank.load(active.slot, snapshot.adapter)
        self.optimizer.load(active.slot, snapshot.optimizer)
        if queued.is_replaying(round_number):
            active.replay_until_round = progress.round
            active.position = active.stream.back(progress.position, progress.round - round_number)
            return
        if not queued.unchanged:
            if active.is_led_here:
                self.observer.event("data_changed", language=active.language, round=round_number, step=progress.step)
            progress.position = Position(progress.position.epoch + 1, 0)
        active.position = progress.position
        _restart_clock(progress, round_number)


def _restart_clock(progress: Progress, round_number: int) -> None:
    """Continue the language at the current round, even if it was saved at another."""
    progress.admitted_round += round_number - progress.round
    progress.round = round_number
