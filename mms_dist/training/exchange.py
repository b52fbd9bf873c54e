"""Sum the gradients and losses of shared languages over their owners.

Only active languages with several owners take part, and only on their owners: one all-reduce of one flat buffer per
rank group. A language's gradient is the mean over its whole batch. It does not depend on the number of ranks or on
which rank computed which part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import RankGroup
from mms_dist.model import transfer
from mms_dist.model.bank import AdapterBank
from mms_dist.training.active_language import ActiveLanguage


@dataclass(frozen=True)
class BatchTotals:
    """Number of utterances and audio samples read from a language's whole batch.

    `weight` is the sum of their weights; None if they count alike.
    """

    utterances: int
    samples: int
    weight: float | None = None


_FIELDS = 3
"""Numbers per language that follow the gradients in the buffer: loss, utterances, samples. The sum of weights is a
fourth if a language of the group has weights."""


class GradientExchange:
    """Completes the bank's gradients and the losses to those of whole batches."""

    def __init__(self, comm: Comm, bank: AdapterBank) -> None:
        self._comm = comm
        self._bank = bank

    def complete(
        self, active_languages: Sequence[ActiveLanguage], batches: Sequence[LoadedBatch], losses_S: Tensor
    ) -> dict[str, BatchTotals]:
        """Sum over owners, and correct the mean where utterances could not be read.

        Waits for the device only if a language is shared: all owners must have contributed before a row is stepped.

        Args:
            active_languages: all languages of the round on this rank, sorted by code.
            batches: their batches, in the same order.
            losses_S: on entry the sums of the weighted losses computed on this rank, by slot, on the device; on return
                the mean losses of the whole batches.

        Returns:
            The totals of every language's batch.
        """
        totals = {
            active.language: BatchTotals(len(batch.utterances), batch.audio_samples, batch.read_weight)
            for active, batch in zip(active_languages, batches, strict=True)
        }
        for group in sorted(
            {active.group for active in active_languages if active.group.size > 1}, key=_smallest_first
        ):
            shared = [active for active in active_languages if active.group == group]
            weighted = any(
                batch.planned_weight is not None
                for active, batch in zip(active_languages, batches, strict=True)
                if active.group == group
            )
            totals |= self._sum(group, shared, totals, losses_S, weighted=weighted)
        for active, batch in zip(active_languages, batches, strict=True):
            read = totals[active.language]
            if 0 < read.utterances < batch.size:
                scale = batch.weight / (read.utterances if read.weight is None else read.weight)
                self.gradient(active).mul_(scale)
                losses_S[active.slot] *= scale
        return totals

    def _sum(
        self,
        group: RankGroup,
        shared: Sequence[ActiveLanguage],
        totals: Mapping[str, BatchTotals],
        losses_S: Tensor,
        *,
        weighted: bool,
    ) -> dict[str, BatchTotals]:
        own = [totals[active.language] for active in shared]
        grads = [self.gradient(active) for active in shared]
        columns = [[float(each.utterances) for each in own], [float(each.samples) for each in own]]
        if weighted:
            columns.append([float(each.utterances) if each.weight is None else each.weight for each in own])
        counts = torch.tensor(columns, dtype=grads[0].dtype).T
        width = _FIELDS + weighted
        losses_L1 = torch.stack([losses_S[active.slot] for active in shared])[:, None]
        numbers = torch.cat([losses_L1.to(grads[0]), transfer.to_device(counts, grads[0].device)], dim=1)
        buffer = torch.cat([*grads, numbers.flatten()])
        self._comm.reduce(group, buffer)
        *summed, tail = buffer.split([*(grad.numel() for grad in grads), width * len(shared)])
        for grad, total in zip(grads, summed, strict=True):
            grad.copy_(total)
        fields = tail.view(len(shared), width)
        for active, loss in zip(shared, fields[:, 0], strict=True):
            losses_S[active.slot] = loss
        utterances, samples, *weights = transfer.numbers(*fields[:, 1:].unbind(1))
        return {
            active.language: BatchTotals(
                round(utterances[place]), round(samples[place]), *(each[place] for each in weights)
            )
            for place, active in enumerate(shared)
        }

    def gradient(self, active: ActiveLanguage) -> Tensor:
        """Return a view of the language's gradient in the bank."""
        return self._bank.grads[active.slot, : self._bank.row_size(active.slot)]


def _smallest_first(group: RankGroup) -> tuple[int, int]:
    """Sort key. Rank groups are nested, so in this order no two ranks wait for each other in different groups."""
    return group.size, group.first
