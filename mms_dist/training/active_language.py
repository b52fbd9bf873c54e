"""A language that this rank owns, alone or with others."""

from dataclasses import dataclass, field

from mms_dist.config import LanguageSettings
from mms_dist.data.batch import BatchRequest
from mms_dist.data.batch_shard import BatchShard
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.progress import ACTIVE, Progress
from shards.vocabulary import Vocabulary

ALONE = RankGroup(0, 1)


@dataclass
class ActiveLanguage:
    """What the round loop needs of an active language.

    `position` is the next batch of its stream. Up to and including round `held_until` the language only keeps the
    others company after a restart (see `training.resume`): it is computed with, and nothing of it changes. `block`
    are the ranks that own it, `rank` is this one; they hold the same row and progress, and take the same decisions.
    """

    progress: Progress
    settings: LanguageSettings
    stream: LanguageStream
    vocabulary: Vocabulary
    slot: int
    position: Position = field(default_factory=Position)
    replay_until_round: int = -1
    group: RankGroup = ALONE
    rank: int = 0

    @property
    def language(self) -> str:
        return self.progress.language

    @property
    def share(self) -> BatchShard:
        """This rank's part of its batches."""
        return BatchShard(self.rank - self.group.first, self.group.size)

    @property
    def is_led_here(self) -> bool:
        """The first of its owners writes its checkpoints and speaks for it."""
        return self.rank == self.group.lead

    def request(self) -> BatchRequest:
        return BatchRequest(self.language, self.position)

    def is_replaying(self, round_number: int) -> bool:
        return round_number <= self.replay_until_round

    def leaves_after(self, round_number: int) -> bool:
        """A language that had ended before the restart goes once the others have caught up."""
        return self.progress.status != ACTIVE and round_number >= self.replay_until_round
