"""The decoder `beam_search` finds each language's model and refuses one of another language."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mms_dist.config import Evaluation, parse_config
from mms_dist.decoding.beam_search import Beam, BeamSearch
from mms_dist.decoding.beam_search_decoder import BeamSearchDecoder
from mms_dist.decoding.decoder import decoders_of
from mms_dist.decoding.shallow_fusion import fuse
from mms_dist.errors import DataError
from mms_dist.language_model.arpa import write_arpa
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.model_file import write_model
from shards.vocabulary import Vocabulary

TEXTS = ["a cab", "bad cab", "a bad dad", "add a bed"]
VOCABULARY = Vocabulary.build("ron", TEXTS)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "ron").mkdir()
    write_model(train(TEXTS, 3, language="ron"), tmp_path / "ron" / "lm.safetensors")
    return tmp_path


def logits(seed: int, frames: int = 12) -> torch.Tensor:
    return 3 * torch.randn(3, frames, len(VOCABULARY), generator=torch.Generator().manual_seed(seed))


def test_it_decodes_like_the_search_that_it_configures(models: Path) -> None:
    settings = Evaluation(decoder="beam_search", language_model=str(models), lm_alpha=1.5, lm_beta=-0.5, beam_width=7)
    decoder = BeamSearchDecoder("ron", VOCABULARY, settings)
    search = BeamSearch(VOCABULARY, fuse(train(TEXTS, 3), VOCABULARY, 1.5, -0.5), beam=Beam(7))
    frames_B = np.array([12, 9, 4])
    logits_BTV = logits(1)
    log_probs = [row[:frames].log_softmax(-1).numpy() for row, frames in zip(logits_BTV, frames_B, strict=True)]
    expected = [found[0].text for found in search.decode(log_probs)]
    assert decoder.texts(decoder.keep(logits_BTV).numpy(), frames_B) == expected
    assert any(expected)


def test_the_weights_decide(models: Path) -> None:
    def texts(alpha: float) -> list[str]:
        settings = Evaluation(language_model=str(models), lm_alpha=alpha)
        decoder = BeamSearchDecoder("ron", VOCABULARY, settings)
        return decoder.texts(decoder.keep(logits(2)).numpy(), np.array([12, 12, 12]))

    assert texts(0.0) != texts(3.0)


def test_a_model_that_changed_is_loaded_again(models: Path) -> None:
    settings = Evaluation(language_model=str(models), lm_alpha=3.0)

    def text() -> list[str]:
        decoder = BeamSearchDecoder("ron", VOCABULARY, settings)
        return decoder.texts(decoder.keep(logits(3)).numpy(), np.array([12, 12, 12]))

    before = text()
    write_model(train(["dad dad dad"] * 9 + TEXTS, 3, language="ron"), models / "ron" / "lm.safetensors")
    assert text() != before


def test_a_model_of_another_language_is_refused(models: Path) -> None:
    settings = Evaluation(language_model=str(models / "ron" / "lm.safetensors"))
    with pytest.raises(DataError, match="is one of ron, expected one of ita") as caught:
        BeamSearchDecoder("ita", Vocabulary.build("ita", TEXTS), settings)
    assert caught.value.fix
    write_arpa(train(["это другой язык"], 2), models / "ita.arpa")
    with pytest.raises(DataError, match="can be written with the characters of ita"):
        BeamSearchDecoder("ita", Vocabulary.build("ita", TEXTS), Evaluation(language_model=str(models)))


def test_each_language_may_have_its_own_weights(models: Path) -> None:
    own = {"ron": {"evaluation": {"lm_alpha": 3.0}}}
    shared = {"decoder": "beam_search", "language_model": str(models), "lm_alpha": 0.0}
    make = decoders_of(parse_config({"evaluation": shared, "languages": own}))("ron", VOCABULARY)
    alone = BeamSearchDecoder("ron", VOCABULARY, Evaluation(language_model=str(models), lm_alpha=3.0))
    kept, frames_B = alone.keep(logits(2)).numpy(), np.array([12, 12, 12])
    assert make.texts(kept, frames_B) == alone.texts(kept, frames_B)
