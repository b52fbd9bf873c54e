"""Gradients of a shared language are sums over its owners, and a batch's mean is over what could be read."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import Block
from mms_dist.training.exchange import BatchTotals, GradientExchange

ALONE, PAIR, ALL = Block(0, 1), Block(0, 2), Block(0, 4)
SIZES = [3, 5, 4, 5]
"""Of the slots' rows; the bank's are as long as the longest."""


class Owners(Comm):
    """Rank 0 of four; the others give what `others` says, and each reduction is noted."""

    def __init__(self, others: float = 0.0) -> None:
        super().__init__(rank=0, world=4)
        self.others, self.reduced = others, list[tuple[Block, int]]()

    def reduce(self, block: Block, buffer: Tensor) -> None:
        self.reduced.append((block, buffer.numel()))
        buffer += (block.size - 1) * self.others


def bank() -> Any:
    grads = torch.arange(1.0, 21.0).view(4, 5)
    return SimpleNamespace(grads=grads, row_size=lambda slot: SIZES[slot])


def losses(*values: float) -> Tensor:
    """By slot."""
    return torch.tensor([*values, *[0.0] * (4 - len(values))], dtype=torch.float64)


def trainee(language: str, slot: int, block: Block = ALONE) -> Any:
    return SimpleNamespace(language=language, slot=slot, block=block)


def batch(read: int, size: int, samples: int = 1000) -> Any:
    return SimpleNamespace(utterances=[None] * read, size=size, audio_samples=samples)


def test_what_owners_computed_is_summed_and_how_many_they_are_enters_nowhere() -> None:
    ours, comm = bank(), Owners(others=10.0)
    before, losses_S = ours.grads.clone(), losses(0.5)
    totals = GradientExchange(comm, ours).complete([trainee("a", 0, PAIR)], [batch(2, 12)], losses_S)
    assert totals["a"] == BatchTotals(12, 1010) and losses_S.equal(losses(10.5))
    assert ours.grads[0, :3].equal(before[0, :3] + 10.0)
    assert ours.grads[0, 3:].equal(before[0, 3:]) and ours.grads[1:].equal(before[1:]), "its own row, and no further"


def test_languages_of_one_block_go_together() -> None:
    ours, comm = bank(), Owners()
    trainees = [trainee("a", 0, ALL), trainee("b", 1, PAIR), trainee("c", 2, ALL), trainee("d", 3)]
    before, losses_S = ours.grads.clone(), losses(1.0, 2.0, 3.0)
    totals = GradientExchange(comm, ours).complete(trainees, [batch(n + 1, n + 1, 10 * n) for n in range(4)], losses_S)
    assert comm.reduced == [(PAIR, 5 + 3), (ALL, 3 + 4 + 2 * 3)]
    assert ours.grads.equal(before), "alone, each keeps its own"
    assert losses_S.equal(losses(1.0, 2.0, 3.0))
    assert totals == {language: BatchTotals(number + 1, 10 * number) for number, language in enumerate("abcd")}


def test_smaller_blocks_go_first_and_those_of_one_size_in_the_order_of_their_ranks() -> None:
    comm = Owners()
    trainees = [trainee("a", 0, ALL), trainee("b", 1, Block(2, 2)), trainee("c", 2, PAIR)]
    GradientExchange(comm, bank()).complete(trainees, [batch(1, 1)] * 3, losses())
    assert [block for block, _ in comm.reduced] == [PAIR, Block(2, 2), ALL]


def test_the_mean_is_over_the_utterances_that_could_be_read() -> None:
    ours = bank()
    before = ours.grads.clone()
    trainees = [trainee("a", 0), trainee("b", 1), trainee("c", 2)]
    batches = [batch(3, 4), batch(4, 4), batch(0, 4)]
    losses_S = losses(0.75, 1.0)
    totals = GradientExchange(Comm(), ours).complete(trainees, batches, losses_S)
    assert ours.grads[0, :3].equal(before[0, :3] * 4 / 3), "each of the three counts a third and not a quarter"
    assert ours.grads[0, 3:].equal(before[0, 3:]) and ours.grads[1:].equal(before[1:])
    assert totals == {"a": BatchTotals(3, 1000), "b": BatchTotals(4, 1000), "c": BatchTotals(0, 1000)}
    assert losses_S.equal(losses(1.0, 1.0))


def test_the_mean_of_a_shared_batch_is_over_what_all_owners_could_read() -> None:
    ours, comm = bank(), Owners(others=1.0)
    before, losses_S = ours.grads.clone(), losses(0.5)
    totals = GradientExchange(comm, ours).complete([trainee("a", 0, PAIR)], [batch(1, 4)], losses_S)
    assert totals["a"] == BatchTotals(2, 1001) and losses_S.equal(losses(1.5 * 2))
    assert ours.grads[0, :3].equal((before[0, :3] + 1.0) * 2)
