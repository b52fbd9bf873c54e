"""A language's gradient is the mean over the utterances of its batch that were read, whoever computed which of them."""

from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch
from mms_dist.distributed.placement import RankGroup
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.training.exchange import BatchTotals, GradientExchange

LAYOUT = RowLayout(1, 2, 2)
VOCABULARIES = {"ita": 7, "ron": 9, "ukr": 6}
SLOTS = {"ita": 3, "ron": 0, "ukr": 2}
PLANNED = {"ita": 5, "ron": 4, "ukr": 3}


class Ranks:
    """What gradients are summed through: ranks are threads here."""

    def __init__(self, world: int) -> None:
        self._given: list[Tensor | None] = [None] * world
        self._barrier = Barrier(world, timeout=10)

    def comm(self, rank: int) -> Any:
        def reduce(group: RankGroup, buffer: Tensor) -> None:
            assert rank in group
            self._given[rank] = buffer.clone()
            self._barrier.wait()
            buffer.copy_(sum(part for part in self._given if part is not None))
            self._barrier.wait()

        return SimpleNamespace(reduce=reduce)


def gradient_of(language: str, item: int) -> Tensor:
    """The gradient of one utterance."""
    random = torch.Generator().manual_seed(100 * VOCABULARIES[language] + item)
    return torch.randn(LAYOUT.row_size(VOCABULARIES[language]), generator=random, dtype=torch.float64)


def weight_of(item: int, weighted: bool) -> float:
    return 1.0 / (1 + item) if weighted else 1.0


def complete(
    world: int, read: dict[str, list[int]], weighted: bool
) -> list[tuple[AdapterBank, dict[str, BatchTotals], Tensor]]:
    """Bank, totals and losses of every rank after the exchange, where ranks have dealt out what was read."""
    ranks = Ranks(world)
    results: list[Any] = [None] * world

    def run(rank: int) -> None:
        bank = AdapterBank(LAYOUT, slots=4, largest_vocabulary=9, dtype=torch.float64)
        active_languages, batches, losses_S = [], [], torch.zeros(4, dtype=torch.float64)
        for language, slot in SLOTS.items():
            bank.vocabulary_sizes[slot] = VOCABULARIES[language]
            mine = read[language][rank::world]
            own = weighted and language != "ukr"  # which shares their exchange without weights of its own
            total = sum(weight_of(item, own) for item in range(PLANNED[language]))
            for item in mine:
                bank.grads[slot, : LAYOUT.row_size(VOCABULARIES[language])] += (
                    gradient_of(language, item) * weight_of(item, own) / total
                )
            losses_S[slot] = sum((item + 1.0) * weight_of(item, own) for item in mine) / total
            utterances: list[Any] = [
                SimpleNamespace(audio=range(100 + item), weight=weight_of(item, own)) for item in mine
            ]
            batch = LoadedBatch(None, utterances, planned=PLANNED[language])  # type: ignore[arg-type]
            batch.planned_weight = total if own else None
            batches.append(batch)
            active_languages.append(SimpleNamespace(language=language, slot=slot, group=RankGroup(0, world)))
        totals = GradientExchange(ranks.comm(rank), bank).complete(active_languages, batches, losses_S)  # type: ignore[arg-type]
        results[rank] = bank, totals, losses_S

    threads = [Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(
    "read",
    [
        {"ita": [0, 1, 2, 3, 4], "ron": [0, 1, 2, 3], "ukr": [0, 1, 2]},  # all
        {"ita": [0, 1, 2, 3, 4], "ron": [0, 1, 3], "ukr": [1]},
        {"ita": [4], "ron": [2], "ukr": [0]},
        {"ita": [1, 2, 3], "ron": [], "ukr": [0, 1, 2]},
    ],
)
def test_a_batch_of_which_some_could_not_be_read_is_the_mean_of_those_read(
    world: int, read: dict[str, list[int]], weighted: bool
) -> None:
    for bank, totals, losses_S in complete(world, read, weighted):
        for language, items in read.items():
            slot, size = SLOTS[language], LAYOUT.row_size(VOCABULARIES[language])
            weights = [weight_of(item, weighted and language != "ukr") for item in items]
            parts = [weight * gradient_of(language, item) for item, weight in zip(items, weights, strict=True)]
            mean = torch.stack(parts).sum(0) / sum(weights) if items else torch.zeros(size)
            torch.testing.assert_close(bank.grads[slot, :size], mean.to(torch.float64), rtol=1e-12, atol=1e-12)
            assert (bank.grads[slot, size:] == 0).all()
            assert totals[language].utterances == len(items)
            assert totals[language].samples == sum(100 + item for item in items)
            weighted_sum = sum((item + 1.0) * weight for item, weight in zip(items, weights, strict=True))
            loss = weighted_sum / sum(weights) if items else 0.0
            assert float(losses_S[slot]) == pytest.approx(loss, rel=1e-12)
        assert (bank.grads[1] == 0).all()  # nobody's slot
