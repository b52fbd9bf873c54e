"""The objective of a language is the mean over its own batch, whatever else is in the round."""

from pathlib import Path

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

    settings = {"model": {"dtype": "float64"}, "optim": {"batch_seconds": 9.0, "steps": 4}}
    train_watched(toy_config(tmp_path, small_base, shards, **settings), look)
    assert len(compared) == 3
    for found, mean in compared:
        assert float((found - mean).norm() / mean.norm()) < 1e-12
