"""The dev split of languages, transcribed by their owners together.

The forward passes are dealt among a language's owners and the transcripts gathered, so that all of them know the same
score and decide the same; as the passes are those of a single owner, so is the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mms_dist.distributed.comm import Comm
from mms_dist.training.evaluate import Evaluator, Request, Transcription
from mms_dist.training.lockstep import Lockstep
from mms_dist.training.trainee import Trainee
from shards.index import ShardIndex

SPLIT = "dev"


@dataclass(frozen=True)
class DevScores:
    """Transcribes the dev split of several languages; all ranks call it at the same points if the base is sharded."""

    evaluator: Evaluator
    index: ShardIndex
    comm: Comm
    lockstep: Lockstep

    def transcribe(self, trainees: Sequence[Trainee]) -> dict[str, Transcription]:
        missing = self.lockstep.missing(self._passes(trainees)) if self.lockstep.is_needed else 0
        shares = self.evaluator.transcribe_all([self._request(trainee) for trainee in trainees])
        mine = {trainee.language: share for trainee, share in zip(trainees, shares, strict=True)}
        self.lockstep.idle(missing, backward=False)
        return {
            trainee.language: Transcription.joined(self.comm.share_in(trainee.block, mine[trainee.language]))
            for trainee in trainees
        }

    def _passes(self, trainees: Sequence[Trainee]) -> int:
        """Forward passes that this rank has to make."""
        return sum(self.evaluator.passes(self.index.language(t.language), SPLIT, t.share) for t in trainees)

    def _request(self, trainee: Trainee) -> Request:
        return Request(self.index.language(trainee.language), SPLIT, trainee.slot, share=trainee.share)
