"""The objective of a language is the mean over its own batch, whatever else is in the round."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.data.batch import BatchRequest, LoadedBatch
from mms_dist.data.stream import Position
from mms_dist.training.components import RunComponents
from tests.corpus import build_toy_shards
from tests.training import toy_config, train_watched


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("objective"), languages=2, train=7, dev=2)


def test_a_batchs_gradient_is_the_mean_of_its_utterances_gradients(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    compared: list[tuple[Tensor, Tensor]] = []

    def look(components: RunComponents) -> None:
        if compared:
            return
        active = components.loop.slot_manager.active_languages["taa"]
        (loaded,) = components.loader.take([BatchRequest("taa", Position())])
        whole = LoadedBatch(loaded.request, loaded.utterances[:3])  # a third is exact in no float

        def gradient(*batches: LoadedBatch) -> Tensor:
            components.bank.grads.zero_()
            losses = components.gradients.accumulate(batches, components.loop.slot_manager.active_languages).sums_S
            components.loop.exchange.complete([active], batches[:1], losses)
            return components.bank.grads[active.slot].clone()

        single = [gradient(LoadedBatch(whole.request, [utterance])) for utterance in whole.utterances]
        together = gradient(whole)
        of_two = gradient(LoadedBatch(whole.request, whole.utterances[:2], planned=3))  # the third was unreadable
        (other,) = components.loader.take([BatchRequest("tab", Position())])
        mixed = gradient(whole, other)
        components.bank.grads.zero_()
        assert len(single) == 3, len(single)
        compared.extend([(found, torch.stack(single).mean(0)) for found in (together, mixed)])
        compared.append((of_two, torch.stack(single[:2]).mean(0)))

    trained_on_three(tmp_path, small_base, shards, look)
    assert len(compared) == 3
    for found, mean in compared:
        assert float((found - mean).norm() / mean.norm()) < 1e-12


def test_weights_give_the_weighted_mean_and_equal_ones_change_no_bit(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    compared: list[tuple[Tensor, Tensor]] = []

    def look(components: RunComponents) -> None:
        active_languages = components.loop.slot_manager.active_languages
        active = active_languages["taa"]
        loader, table = components.loader, active.stream.table
        if compared:
            return

        def gradient(weights: np.ndarray | None, kept: int | None = None) -> Tensor:
            active.stream.weights = weights
            (batch,) = loader.take([BatchRequest("taa", Position())])
            if kept is not None:
                batch.utterances = batch.utterances[:kept]
            components.bank.grads.zero_()
            losses = components.gradients.accumulate([batch], active_languages).sums_S
            components.loop.exchange.complete([active], [batch], losses)
            return components.bank.grads[active.slot].clone()

        plain, equal = gradient(None), gradient(np.full(len(table), 0.3))
        assert plain.equal(equal), "0.3 is exact in no float"
        (batch,) = loader.take([BatchRequest("taa", Position())])
        rows = [each.id.row for each in batch.utterances]
        single = []
        for row in rows:
            only = np.full(len(table), 1e-300)
            only[row] = 1.0
            single.append(gradient(only))
        weights = np.linspace(0.5, 4.0, len(table))
        for kept in (len(rows), 2):  # of two, the others were unreadable
            own = torch.tensor(weights[rows[:kept]])
            mean = (torch.stack(single[:kept]) * own[:, None]).sum(0) / own.sum()
            compared.append((gradient(weights, kept), mean))
        active.stream.weights = None
        components.bank.grads.zero_()

    trained_on_three(tmp_path, small_base, shards, look)
    assert len(compared) == 2
    for found, mean in compared:
        assert float((found - mean).norm() / mean.norm()) < 1e-12


def trained_on_three(directory: Path, base: Path, shards: Path, look: Callable[[RunComponents], None]) -> None:
    """Train on batches of at least three utterances."""
    settings = {"model": {"dtype": "float64"}, "optim": {"batch_seconds": 9.0, "steps": 4}}
    train_watched(toy_config(directory, base, shards, **settings), look)
