"""Gradients of shared languages, summed over their owners.

Only languages that are in the round and have several owners take part, and only their owners: those of one block in one
flat buffer and one operation. A language's gradient is a mean over its own batch, whoever computed which part of it;
how many ranks there are enters nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import Block
from mms_dist.model.bank import AdapterBank
from mms_dist.training.trainee import Trainee


@dataclass(frozen=True)
class BatchTotals:
    """What a language's whole batch came to: its mean loss, and the utterances and audio samples that were read."""

    loss: float
    utterances: int
    samples: int


_FIELDS = 3


class GradientExchange:
    """Makes the bank's gradients those of whole batches."""

    def __init__(self, comm: Comm, bank: AdapterBank) -> None:
        self._comm = comm
        self._bank = bank

    def complete(
        self, trainees: Sequence[Trainee], batches: Sequence[LoadedBatch], losses: Mapping[str, float]
    ) -> dict[str, BatchTotals]:
        """Sum over owners, and mend the mean where utterances could not be read.

        Args:
            trainees: all of the round on this rank, by code.
            batches: theirs, in the same order.
            losses: weighted losses computed here.

        Returns:
            The totals of every trainee's batch.
        """
        totals = {
            trainee.language: BatchTotals(losses.get(trainee.language, 0.0), len(batch.utterances), batch.audio_samples)
            for trainee, batch in zip(trainees, batches, strict=True)
        }
        for block in sorted({trainee.block for trainee in trainees if trainee.block.size > 1}, key=_smallest_first):
            shared = [trainee for trainee in trainees if trainee.block == block]
            totals |= self._sum(block, shared, totals)
        for trainee, batch in zip(trainees, batches, strict=True):
            read = totals[trainee.language]
            if 0 < read.utterances < batch.size:
                scale = batch.size / read.utterances
                self._grad(trainee).mul_(scale)
                totals[trainee.language] = BatchTotals(read.loss * scale, read.utterances, read.samples)
        return totals

    def _sum(
        self, block: Block, shared: Sequence[Trainee], totals: Mapping[str, BatchTotals]
    ) -> dict[str, BatchTotals]:
        own = [totals[trainee.language] for trainee in shared]
        numbers = torch.tensor([[t.loss, t.utterances, t.samples] for t in own], dtype=torch.float64)
        grads = [self._grad(trainee) for trainee in shared]
        buffer = torch.cat([*grads, numbers.flatten().to(grads[0])])
        self._comm.reduce(block, buffer)
        *summed, tail = buffer.split([*(grad.numel() for grad in grads), _FIELDS * len(shared)])
        for grad, total in zip(grads, summed, strict=True):
            grad.copy_(total)
        rows = tail.view(len(shared), _FIELDS).tolist()
        return {
            trainee.language: BatchTotals(loss, round(utterances), round(samples))
            for trainee, (loss, utterances, samples) in zip(shared, rows, strict=True)
        }

    def _grad(self, trainee: Trainee) -> Tensor:
        return self._bank.grads[trainee.slot, : self._bank.row_size(trainee.slot)]


def _smallest_first(block: Block) -> tuple[int, int]:
    """Blocks are nested, so in this order no two ranks wait for each other in different blocks."""
    return block.size, block.first
