"""An active language that this rank owns, alone or with other ranks."""

from dataclasses import dataclass, field

from mms_dist.config import LanguageSettings
from mms_dist.data.batch import BatchRequest
from mms_dist.data.batch_shard import BatchShard
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.progress import ACTIVE, Progress
from shards.vocabulary import Vocabulary

ALONE = RankGroup(0, 1)


@dataclass(kw_only=True)
class ActiveLanguage:
    """The round loop's state of an active language.

    Attributes:
        position: next batch of its stream.
        replay_until_round: up to and including this round the language replays after a restart (`training.restore`):
            its batches are computed, but its state does not change.
        group: the ranks that own it. They hold the same row and progress and make the same decisions.
        rank: this rank.
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
        """This rank's share of the language's batches."""
        return BatchShard(self.rank - self.group.first, self.group.size)

    @property
    def is_led_here(self) -> bool:
        """Whether this rank is the first owner, which writes the checkpoints and reports the events."""
        return self.rank == self.group.lead

    def request(self) -> BatchRequest:
        return BatchRequest(self.language, self.position)

    def is_replaying(self, round_number: int) -> bool:
        return round_number <= self.replay_until_round

    def leaves_after(self, round_number: int) -> bool:
        """Return whether the language has ended and has no more rounds to replay."""
        return self.progress.status != ACTIVE and round_number >= self.replay_until_round
