"""ARPA files: what we write reads back, what others write is read, and what cannot be read is named."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.arpa import read_arpa, write_arpa
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.scoring import log_probs
from mms_dist.language_model.units import Unit
from tests.slow_ngrams import random_texts

TEXTS = random_texts(100, 40, seed=3)
FOREIGN = """
\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-0.5\t</s>
-99\t<s>\t-0.25
-0.75\tja\t-0.5
-1.0\tnein\t-0.125
-2.0\t<UNK>

\\2-grams:
-0.25\t<s> ja\t-0.5
-0.375\tja nein
-0.5\tnein </s>

\\3-grams:
-0.125\t<s> ja nein

\\end\\
"""


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
@pytest.mark.parametrize(("order", "unit"), [(1, "word"), (3, "word"), (5, "char")])
def test_a_written_model_reads_back_the_same(tmp_path: Path, name: str, order: int, unit: Unit) -> None:
    model = train(TEXTS, order, unit)
    write_arpa(model, tmp_path / name)
    again = read_arpa(tmp_path / name)
    assert (again.unit, again.words, again.sizes) == (model.unit, model.words, model.sizes)
    assert np.array_equal(again.key, model.key) and np.array_equal(again.state, model.state)
    assert np.allclose(again.log_prob, model.log_prob, atol=2e-6)
    assert np.allclose(again.backoff, model.backoff, atol=2e-6)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.arpa.gz", "b.arpa.gz"):
        write_arpa(train(TEXTS, 3), tmp_path / name)
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_foreign_file_is_read(tmp_path: Path, newline: str) -> None:
    path = tmp_path / "foreign.arpa"
    path.write_bytes(FOREIGN.replace("\n", newline).encode())
    model = read_arpa(path)
    assert model.words == ("<unk>", "<s>", "</s>", "ja", "nein")
    (found, unknown) = log_probs(model, ["ja nein nein", "oje"])
    # ja|<s>, nein|<s> ja, then nein|ja nein and </s>|nein: backed off.
    expected = [-0.25, -0.125, -0.125 - 1.0, -0.5]
    assert found / np.log(10) == pytest.approx(expected, abs=1e-6)
    assert unknown / np.log(10) == pytest.approx([-0.25 - 2.0, -0.5], abs=1e-6)


def test_missing_prefixes_and_special_words_are_added(tmp_path: Path) -> None:
    text = FOREIGN.replace("ngram 2=3", "ngram 2=2").replace("-0.25\t<s> ja\t-0.5\n", "")
    text = text.replace("ngram 1=5", "ngram 1=4").replace("-2.0\t<UNK>\n", "")
    path = tmp_path / "pruned.arpa"
    path.write_text(text)
    model = read_arpa(path)
    (found, unknown) = log_probs(model, ["ja nein", "oje"])
    assert found[:2] / np.log(10) == pytest.approx([-0.25 - 0.75, -0.125], abs=1e-6)
    assert unknown[0] / np.log(10) < -99


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\\data\\", "data", "it is not an ARPA file"),
        ("ngram 2=3", "ngram 3=3", "expected 'ngram 2='"),
        ("ngram 2=3", "ngram 2=4", "expected n-gram 4 of 4 of order 2"),
        ("ngram 2=3", "ngram 2=2", "expected \\3-grams:"),
        ("\tja nein\n", "\tja oje\n", "'oje', which is not among the 1-grams"),
        ("-0.75\tja", "x\tja", "where logarithms should be"),
        ("-0.75\tja", "0.75\tja", "where logarithms should be"),
        ("-0.75\tja", "nan\tja", "where logarithms should be"),
        ("-1.0\tnein", "-1.0\tja", "has the word 'ja' a second time"),
        ("-0.375\tja nein", "-0.375\tnein </s>", "has the n-gram 'nein </s>' twice"),
        ("\n\\end\\", "", "cut off"),
        ("\n\\end\\", "\nmore", "expected \\end\\"),
    ],
)
def test_a_file_that_is_not_right_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in FOREIGN
    path = tmp_path / "wrong.arpa"
    path.write_text(FOREIGN.replace(old, new))
    with pytest.raises(DataError) as caught:
        read_arpa(path)
    assert words in str(caught.value)
    assert str(path) in caught.value.found


def test_files_in_another_encoding_or_cut_off_are_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.arpa"
    path.write_bytes(FOREIGN.replace("ja", "já").encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_arpa(path)
    path.write_bytes(gzip.compress(FOREIGN.encode())[:-20])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_arpa(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_arpa(tmp_path)


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").mkdir()
    with pytest.raises(DataError, match="cannot write"):
        write_arpa(train(TEXTS, 2), tmp_path / "lm.arpa")
    assert [path.name for path in tmp_path.iterdir()] == ["lm.arpa"]
