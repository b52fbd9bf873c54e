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
from mms_dist.distributed.placement import Block
from mms_dist.model.bank import AdapterBank
from mms_dist.training.trainee import Trainee


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
        self, trainees: Sequence[Trainee], batches: Sequence[LoadedBatch], losses_S: Tensor
    ) -> dict[str, BatchTotals]:
        """Sum over owners, and mend the mean where utterances could not be read.

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
            trainee.language: BatchTotals(len(batch.utterances), batch.audio_samples)
            for trainee, batch in zip(trainees, batches, strict=True)
        }
        for block in sorted({trainee.block for trainee in trainees if trainee.block.size > 1}, key=_smallest_first):
            shared = [trainee for trainee in trainees if trainee.block == block]
            totals |= self._sum(block, shared, totals, losses_S)
        for trainee, batch in zip(trainees, batches, strict=True):
            read = totals[trainee.language]
            if 0 < read.utterances < batch.size:
                scale = batch.size / read.utterances
                self._grad(trainee).mul_(scale)
                losses_S[trainee.slot] *= scale
        return totals

    def _sum(
        self, block: Block, shared: Sequence[Trainee], totals: Mapping[str, BatchTotals], losses_S: Tensor
    ) -> dict[str, BatchTotals]:
        own = [totals[trainee.language] for trainee in shared]
        grads = [self._grad(trainee) for trainee in shared]
        counts = torch.tensor([[float(each.utterances), float(each.samples)] for each in own], dtype=grads[0].dtype)
        losses_L1 = torch.stack([losses_S[trainee.slot] for trainee in shared])[:, None]
        numbers = torch.cat([losses_L1.to(grads[0]), transfer.to_device(counts, grads[0].device)], dim=1)
        buffer = torch.cat([*grads, numbers.flatten()])
        self._comm.reduce(block, buffer)
        *summed, tail = buffer.split([*(grad.numel() for grad in grads), _FIELDS * len(shared)])
        for grad, total in zip(grads, summed, strict=True):
            grad.copy_(total)
        fields = tail.view(len(shared), _FIELDS)
        for trainee, loss in zip(shared, fields[:, 0], strict=True):
            losses_S[trainee.slot] = loss
        utterances, samples = transfer.numbers(fields[:, 1], fields[:, 2])
        return {
            trainee.language: BatchTotals(round(read), round(heard))
            for trainee, read, heard in zip(shared, utterances, samples, strict=True)
        }

    def _grad(self, trainee: Trainee) -> Tensor:
        return self._bank.grads[trainee.slot, : self._bank.row_size(trainee.slot)]


def _smallest_first(block: Block) -> tuple[int, int]:
    """Blocks are nested, so in this order no two ranks wait for each other in different blocks."""
    return block.size, block.first
