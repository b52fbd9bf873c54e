"""Gradients and losses of shared languages, summed over their owners.

Only languages that are in the round and have several owners take part, and only their owners: those of one block in one
flat buffer and one operation. A language's gradient is a mean over its own batch, whoever computed which part of it;
how many ranks there are enters nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist import transfer
from mms_dist.data.batch import LoadedBatch
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import RankGroup
from mms_dist.model.bank import AdapterBank
from mms_dist.training.active_language import ActiveLanguage


@dataclass(frozen=True)
class BatchTotals:
    """What was read of a language's whole batch: utterances and audio samples."""

    utterances: int
    samples: int


_FIELDS = 3
"""Of a language, behind the gradients: its loss, and the totals."""


class GradientExchange:
    """Makes the bank's gradients, and the losses beside them, those of whole batches."""

    def __init__(self, comm: Comm, bank: AdapterBank) -> None:
        self._comm = comm
        self._bank = bank

    def complete(
        self, active_languages: Sequence[ActiveLanguage], batches: Sequence[LoadedBatch], losses_S: Tensor
    ) -> dict[str, BatchTotals]:
        """Sum over owners, and fix the mean where utterances could not be read.

        Args:
            trainees: all of the round on this rank, by code.
            batches: theirs, in the same order.
            losses_S: sums of the weighted losses computed here, by slot, on the device; mean losses of the whole
                batches afterwards.

        Returns:
            The totals of every trainee's batch. Waits for the device only where languages are shared: that all owners
            have given their part must be known before a row is stepped.
        """
        totals = {
            active.language: BatchTotals(len(batch.utterances), batch.audio_samples)
            for active, batch in zip(active_languages, batches, strict=True)
        }
        for group in sorted(
            {active.group for active in active_languages if active.group.size > 1}, key=_smallest_first
        ):
            shared = [active for active in active_languages if active.group == group]
            totals |= self._sum(group, shared, totals, losses_S)
        for active, batch in zip(active_languages, batches, strict=True):
            read = totals[active.language]
            if 0 < read.utterances < batch.size:
                scale = batch.size / read.utterances
                self._grad(active).mul_(scale)
                losses_S[active.slot] *= scale
        return totals

    def _sum(
        self, group: RankGroup, shared: Sequence[ActiveLanguage], totals: Mapping[str, BatchTotals], losses_S: Tensor
    ) -> dict[str, BatchTotals]:
        own = [totals[active.language] for active in shared]
        grads = [self._grad(active) for active in shared]
        counts = torch.tensor([[float(each.utterances), float(each.samples)] for each in own], dtype=grads[0].dtype)
        losses_L1 = torch.stack([losses_S[active.slot] for active in shared])[:, None]
        numbers = torch.cat([losses_L1.to(grads[0]), transfer.to_device(counts, grads[0].device)], dim=1)
        buffer = torch.cat([*grads, numbers.flatten()])
        self._comm.reduce(group, buffer)
        *summed, tail = buffer.split([*(grad.numel() for grad in grads), _FIELDS * len(shared)])
        for grad, total in zip(grads, summed, strict=True):
            grad.copy_(total)
        fields = tail.view(len(shared), _FIELDS)
        for active, loss in zip(shared, fields[:, 0], strict=True):
            losses_S[active.slot] = loss
        utterances, samples = transfer.numbers(fields[:, 1], fields[:, 2])
        return {
            active.language: BatchTotals(round(read), round(heard))
            for active, read, heard in zip(shared, utterances, samples, strict=True)
        }

    def _grad(self, active: ActiveLanguage) -> Tensor:
        return self._bank.grads[active.slot, : self._bank.row_size(active.slot)]


def _smallest_first(group: RankGroup) -> tuple[int, int]:
    """Blocks are nested, so in this order no two ranks wait for each other in different blocks."""
    return group.size, group.first
