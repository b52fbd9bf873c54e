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


def complete(world: int, read: dict[str, list[int]]) -> list[tuple[AdapterBank, dict[str, BatchTotals], Tensor]]:
    """Bank, totals and losses of every rank after the exchange, where ranks have dealt out what was read."""
    ranks = Ranks(world)
    results: list[Any] = [None] * world

    def run(rank: int) -> None:
        bank = AdapterBank(LAYOUT, slots=4, largest_vocabulary=9, dtype=torch.float64)
        active_languages, batches, losses_S = [], [], torch.zeros(4, dtype=torch.float64)
        for language, slot in SLOTS.items():
            bank.vocabulary_sizes[slot] = VOCABULARIES[language]
            mine = read[language][rank::world]
            for item in mine:
                bank.grads[slot, : LAYOUT.row_size(VOCABULARIES[language])] += (
                    gradient_of(language, item) / PLANNED[language]
                )
            losses_S[slot] = sum(item + 1.0 for item in mine) / PLANNED[language]
            utterances: list[Any] = [SimpleNamespace(audio=range(100 + item)) for item in mine]
            batches.append(LoadedBatch(None, utterances, planned=PLANNED[language]))  # type: ignore[arg-type]
            active_languages.append(SimpleNamespace(language=language, slot=slot, group=RankGroup(0, world)))
        totals = GradientExchange(ranks.comm(rank), bank).complete(active_languages, batches, losses_S)  # type: ignore[arg-type]
        results[rank] = bank, totals, losses_S

    threads = [Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


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
    world: int, read: dict[str, list[int]]
) -> None:
    for bank, totals, losses_S in complete(world, read):
        for language, items in read.items():
            slot, size = SLOTS[language], LAYOUT.row_size(VOCABULARIES[language])
            mean = torch.stack([gradient_of(language, item) for item in items]).mean(0) if items else torch.zeros(size)
            torch.testing.assert_close(bank.grads[slot, :size], mean.to(torch.float64), rtol=1e-12, atol=1e-12)
            assert (bank.grads[slot, size:] == 0).all()
            assert totals[language].utterances == len(items)
            assert totals[language].samples == sum(100 + item for item in items)
            loss = sum(item + 1.0 for item in items) / len(items) if items else 0.0
            assert float(losses_S[slot]) == pytest.approx(loss, rel=1e-12)
        assert (bank.grads[1] == 0).all()  # nobody's slot
