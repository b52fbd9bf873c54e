"""Gradients of a shared language are sums over its owners, and a batch's mean is over what could be read."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.exchange import BatchTotals, GradientExchange

ALONE, PAIR, ALL = RankGroup(0, 1), RankGroup(0, 2), RankGroup(0, 4)
SIZES = [3, 5, 4, 5]
"""Of the slots' rows; the bank's are as long as the longest."""


class Owners(Comm):
    """Rank 0 of four; the others give what `others` says, and each reduction is noted."""

    def __init__(self, others: float = 0.0) -> None:
        super().__init__(rank=0, world=4)
        self.others, self.reduced = others, list[tuple[RankGroup, int]]()

    def reduce(self, group: RankGroup, buffer: Tensor) -> None:
        self.reduced.append((group, buffer.numel()))
        buffer += (group.size - 1) * self.others


def bank() -> Any:
    grads = torch.arange(1.0, 21.0).view(4, 5)
    return SimpleNamespace(grads=grads, row_size=lambda slot: SIZES[slot])


def losses(*values: float) -> Tensor:
    """By slot."""
    return torch.tensor([*values, *[0.0] * (4 - len(values))], dtype=torch.float64)


def active(language: str, slot: int, group: RankGroup = ALONE) -> Any:
    return SimpleNamespace(language=language, slot=slot, group=group)


def batch(read: int, size: int, samples: int = 1000) -> Any:
    return SimpleNamespace(
        utterances=[None] * read,
        size=size,
        weight=float(size),
        planned_weight=None,
        read_weight=None,
        audio_samples=samples,
    )


def test_gradients_are_summed_whatever_the_number_of_owners() -> None:
    ours, comm = bank(), Owners(others=10.0)
    before, losses_S = ours.grads.clone(), losses(0.5)
    totals = GradientExchange(comm, ours).complete([active("a", 0, PAIR)], [batch(2, 12)], losses_S)
    assert totals["a"] == BatchTotals(12, 1010) and losses_S.equal(losses(10.5))
    assert ours.grads[0, :3].equal(before[0, :3] + 10.0)
    assert ours.grads[0, 3:].equal(before[0, 3:]) and ours.grads[1:].equal(before[1:]), "its own row, and no further"


def test_languages_of_one_block_go_together() -> None:
    ours, comm = bank(), Owners()
    active_languages = [active("a", 0, ALL), active("b", 1, PAIR), active("c", 2, ALL), active("d", 3)]
    before, losses_S = ours.grads.clone(), losses(1.0, 2.0, 3.0)
    totals = GradientExchange(comm, ours).complete(
        active_languages, [batch(n + 1, n + 1, 10 * n) for n in range(4)], losses_S
    )
    assert comm.reduced == [(PAIR, 5 + 3), (ALL, 3 + 4 + 2 * 3)]
    assert ours.grads.equal(before), "alone, each keeps its own"
    assert losses_S.equal(losses(1.0, 2.0, 3.0))
    assert totals == {language: BatchTotals(number + 1, 10 * number) for number, language in enumerate("abcd")}


def test_smaller_groups_go_first_then_by_rank() -> None:
    comm = Owners()
    active_languages = [active("a", 0, ALL), active("b", 1, RankGroup(2, 2)), active("c", 2, PAIR)]
    GradientExchange(comm, bank()).complete(active_languages, [batch(1, 1)] * 3, losses())
    assert [group for group, _ in comm.reduced] == [PAIR, RankGroup(2, 2), ALL]


def test_the_mean_is_over_the_utterances_that_could_be_read() -> None:
    ours = bank()
    before = ours.grads.clone()
    active_languages = [active("a", 0), active("b", 1), active("c", 2)]
    batches = [batch(3, 4), batch(4, 4), batch(0, 4)]
    losses_S = losses(0.75, 1.0)
    totals = GradientExchange(Comm(), ours).complete(active_languages, batches, losses_S)
    assert ours.grads[0, :3].equal(before[0, :3] * 4 / 3), "each of the three counts a third and not a quarter"
    assert ours.grads[0, 3:].equal(before[0, 3:]) and ours.grads[1:].equal(before[1:])
    assert totals == {"a": BatchTotals(3, 1000), "b": BatchTotals(4, 1000), "c": BatchTotals(0, 1000)}
    assert losses_S.equal(losses(1.0, 1.0))


def test_the_mean_of_a_shared_batch_is_over_what_all_owners_could_read() -> None:
    ours, comm = bank(), Owners(others=1.0)
    before, losses_S = ours.grads.clone(), losses(0.5)
    totals = GradientExchange(comm, ours).complete([active("a", 0, PAIR)], [batch(1, 4)], losses_S)
    assert totals["a"] == BatchTotals(2, 1001) and losses_S.equal(losses(1.5 * 2))
    assert ours.grads[0, :3].equal((before[0, :3] + 1.0) * 2)
