"""Tuning finds the weights that decode best, with the same result in several processes."""

from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest

from mms_dist.decoding.fusion_tuning import TUNING_BEAM, tune
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.decoding.search_settings import SearchSettings
from mms_dist.errors import DataError
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.model_file import write_model
from mms_dist.language_model.units import Unit
from shards.vocabulary import FIXED, SPACE, Vocabulary
from tests.slow_ngrams import random_texts

VOCABULARY = Vocabulary("xxx", (*FIXED, *"abcdefghij"))
TEXTS = random_texts(80, 60, seed=6)


def noisy(text: str, seed: int) -> np.ndarray:
    """Return outputs that say the text, two frames a label and a blank between, in noise."""
    generator = np.random.default_rng(seed)
    path = [label for label in VOCABULARY.encode(text) for label in (label, label, 0)]
    logits = generator.normal(size=(len(path), len(VOCABULARY))) * 2.5
    logits[np.arange(len(path)), path] += 4
    logits[:, SPACE] -= 1
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def settings(folder: Path, unit: Unit, order: int) -> SearchSettings:
    write_model(train(TEXTS, order, unit, language="xxx"), folder / "lm.safetensors")
    return SearchSettings(VOCABULARY, folder / "lm.safetensors")


def test_the_best_weights_come_first_and_beat_no_model(tmp_path: Path) -> None:
    references = TEXTS[:8]
    log_probs = [noisy(text, number) for number, text in enumerate(references)]
    with SearchPool(1) as pool:
        rows = tune(pool, settings(tmp_path, "word", 2), log_probs, references)
        best = replace(settings(tmp_path, "word", 2), alpha=rows[0].alpha, beta=rows[0].beta, beam=TUNING_BEAM)
        texts = [found.text for found in pool.decode(best, log_probs).result()]
        plain = [found.text for found in pool.decode(SearchSettings(VOCABULARY), log_probs).result()]
    assert rows == sorted(rows) and len({(row.alpha, row.beta) for row in rows}) == len(rows) >= 9
    assert jiwer.wer(references, texts) == rows[0].wer
    assert rows[0].wer < jiwer.wer(references, plain) - 0.1


def test_without_spaced_words_the_characters_alone_decide(tmp_path: Path) -> None:
    references = TEXTS[:3]
    log_probs = [noisy(text, number) for number, text in enumerate(references)]
    with SearchPool(1) as pool:
        rows = tune(pool, settings(tmp_path, "char", 3), log_probs, references, spaced=False)
        best = replace(settings(tmp_path, "char", 3), alpha=rows[0].alpha, beta=rows[0].beta, beam=TUNING_BEAM)
        texts = [found.text.replace(" ", "") for found in pool.decode(best, log_probs).result()]
    assert rows[0].cer == min(row.cer for row in rows) == jiwer.cer([t.replace(" ", "") for t in references], texts)


def test_several_processes_measure_the_same(tmp_path: Path) -> None:
    references = TEXTS[:3]
    log_probs = [noisy(text, number) for number, text in enumerate(references)]
    found = []
    for processes in (1, 2):
        with SearchPool(processes) as pool:
            found.append(tune(pool, settings(tmp_path, "char", 3), log_probs, references))
    assert found[0] == found[1]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_process_arrives_as_it_is(tmp_path: Path, processes: int) -> None:
    write_model(train(["это другой язык"], 2), tmp_path / "lm.safetensors")
    with SearchPool(processes) as pool, pytest.raises(DataError, match="with the characters of xxx") as caught:
        pool.decode(SearchSettings(VOCABULARY, tmp_path / "lm.safetensors"), []).result()
    assert caught.value.fix
