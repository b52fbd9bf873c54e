"""With packed passes a language's gradient has the same bits in any company."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment
from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.routed import RoutedModel
from mms_dist.training.gradients import GradientPass
from shards.schema import frames_of

VOCABULARIES = {"taa": 30, "tab": 9, "tac": 71, "tad": 180}


def batch(language: str) -> LoadedBatch:
    random = np.random.default_rng(len(language) + VOCABULARIES[language])
    utterances = []
    for row, seconds in enumerate(random.uniform(0.4, 2.5, 7)):
        samples = int(seconds * 16_000)
        audio = random.integers(-9_000, 9_000, samples).astype(np.int16)
        labels = random.integers(5, VOCABULARIES[language], 3 + row).astype(np.int32)
        named = UtteranceId(language, "train", row)
        utterances.append(
            Utterance(id=named, key="key", epoch=0, audio=audio, labels=labels, text="", frames=frames_of(samples))
        )
    return LoadedBatch(BatchRequest(language, Position()), utterances)


def gradients(base: FrozenBase, languages: list[str]) -> dict[str, Tensor]:
    """Of each language's row after a round of them together, in passes of about four seconds."""
    layout = RowLayout(len(base.layers), base.hidden, 4)
    bank = AdapterBank(layout, slots=len(languages), largest_vocabulary=max(VOCABULARIES[code] for code in languages))
    for slot, language in enumerate(languages):
        bank.load(slot, initial_tensors(layout, VOCABULARIES[language], scheme="kaiming", seed=0, language=language))
    settings = SimpleNamespace(augment=Augment(time_prob=0.2, time_length=4), adapter=Adapter(dropout=0.2))
    active_languages: dict[str, Any] = {
        language: SimpleNamespace(language=language, slot=slot, settings=settings)
        for slot, language in enumerate(languages)
    }
    features = FeatureSource(base, cache_gib=0.0)
    GradientPass(RoutedModel(base, bank), features, forward_seconds=4.0, seed=1, packed=True).accumulate(
        [batch(language) for language in languages], active_languages
    )
    return {language: bank.grads[slot, : bank.row_size(slot)].clone() for slot, language in enumerate(languages)}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_languages_gradient_has_the_same_bits_in_any_company(small_base: Path, dtype: str) -> None:
    base = FrozenBase.load(str(small_base), dtype=DTYPES[dtype])
    alone = {language: gradients(base, [language])[language] for language in VOCABULARIES}
    assert all(gradient.abs().sum() > 0 for gradient in alone.values())
    for company in (["taa", "tab"], ["tad", "tac", "taa"], ["tac", "tab", "taa", "tad"]):
        for language, gradient in gradients(base, company).items():
            assert torch.equal(gradient, alone[language]), f"{language} in {company}"
