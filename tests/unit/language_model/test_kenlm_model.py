"""KenLM's binaries, read through its package, give what our own model of the same text gives.

`trie.bin` and `probing.bin` in `tests/fixtures/kenlm` were made by KenLM (4cb443e) from `TEXTS`:
`lmplz -o 2 --discount_fallback` and `build_binary trie` or `probing`.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from mms_dist.decoding.beam_search import BeamSearch
from mms_dist.decoding.shallow_fusion import fuse
from mms_dist.errors import DataError
from mms_dist.language_model.kenlm_model import KenlmModel
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.loading import load_model
from mms_dist.language_model.scoring import log_probs
from shards.vocabulary import FIXED, Vocabulary
from tests.slow_decoders import random_log_probs
from tests.slow_ngrams import random_texts

FOLDER = Path(__file__).parents[2] / "fixtures" / "kenlm"
TEXTS = random_texts(60, 30, seed=7)
VOCABULARY = Vocabulary("xxx", (*FIXED, *"bcdefghi"))


@pytest.mark.parametrize("kind", ["trie", "probing"])
def test_a_kenlm_binary_equals_the_model_of_the_same_text(kind: str) -> None:
    pytest.importorskip("kenlm", reason="the extra 'lm' is not installed")
    theirs = load_model(FOLDER / f"{kind}.bin")
    ours = train(TEXTS, 2, interpolate_unigrams=True)
    assert isinstance(theirs, KenlmModel)
    assert theirs.unit == "word" and set(theirs.words) == set(ours.words)
    texts = [*TEXTS, "neverseen b", ""]
    for found, expected in zip(log_probs(theirs, texts), log_probs(ours, texts), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
    log_prob_TV = random_log_probs(40, VOCABULARY, 1)
    both = [BeamSearch(VOCABULARY, fuse(model, VOCABULARY)).decode([log_prob_TV], nbest=5) for model in (theirs, ours)]
    # The spelling of new words is learned from the words, in whichever order they are listed.
    assert [each.text for each in both[0][0]] == [each.text for each in both[1][0]]
    assert [each.score for each in both[0][0]] == pytest.approx([each.score for each in both[1][0]], abs=1e-4)


def test_a_binary_without_its_words_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="the extra 'lm' is not installed")
    content = (FOLDER / "trie.bin").read_bytes()
    path = tmp_path / "lm.bin"
    path.write_bytes(content[: content.rindex(b"<unk>\0")])
    with pytest.raises(DataError, match="holds no list of its"):
        load_model(path)


def test_without_the_package_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(DataError, match="'kenlm' is not installed") as caught:
        load_model(FOLDER / "trie.bin")
    assert caught.value.fix and "mms-dist[lm]" in caught.value.fix and "ARPA" in caught.value.fix


def test_queries_are_the_same_in_any_company() -> None:
    pytest.importorskip("kenlm", reason="the extra 'lm' is not installed")
    model = load_model(FOLDER / "trie.bin")
    words = np.arange(len(model.words))
    start = np.full(len(words), model.start)
    together, after = model.advance(start, words)
    alone = [model.advance(start[:1], words[n : n + 1]) for n in range(len(words))]
    assert together.tolist() == [float(each[0][0]) for each in alone]
    assert after.tolist() == [int(each[1][0]) for each in alone]
    none = model.advance(start[:0], words[:0])
    assert len(none[0]) == len(none[1]) == 0
