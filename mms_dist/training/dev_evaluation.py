"""Transcribe the dev splits of languages. The owners of a language share the work.

The owners of a language share its forward passes and gather all transcripts, so that all of them have the same score
and make the same decisions. The passes are those that a single owner would make, so the score is the same too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.evaluation.evaluator import EvaluationRequest, Evaluator, Transcription
from mms_dist.training.active_language import ActiveLanguage
from shards.index import ShardIndex

SPLIT = "dev"


@dataclass(frozen=True)
class DevEvaluation:
    """Transcribes the dev split of languages. If the base is sharded, all ranks must call it at the same points."""

    evaluator: Evaluator
    index: ShardIndex
    comm: Comm
    lockstep: Lockstep

    def transcribe(self, active_languages: Sequence[ActiveLanguage]) -> dict[str, Transcription]:
        missing = self.lockstep.missing(self._passes(active_languages)) if self.lockstep.is_needed else 0
        shares = self.evaluator.transcribe_all([self._request(active) for active in active_languages])
        mine = {active.language: share for active, share in zip(active_languages, shares, strict=True)}
        self.lockstep.idle(missing, backward=False)
        return {
            active.language: Transcription.joined(self.comm.all_gather_in(active.group, mine[active.language]))
            for active in active_languages
        }

    def _passes(self, active_languages: Sequence[ActiveLanguage]) -> int:
        """Return the number of forward passes that this rank has to make."""
        return sum(self.evaluator.passes(self.index.language(t.language), SPLIT, t.share) for t in active_languages)

    def _request(self, active: ActiveLanguage) -> EvaluationRequest:
        return EvaluationRequest(self.index.language(active.language), SPLIT, active.slot, share=active.share)
