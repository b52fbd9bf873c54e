"""The binary file: it reads back the same, in any process, and damage is found."""

import json
from pathlib import Path

import numpy as np
import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.loading import load_model
from mms_dist.language_model.model_file import read_model, write_model
from mms_dist.language_model.ngram_model import NGramModel
from mms_dist.language_model.scoring import log_probs
from mms_dist.language_model.units import Unit
from tests.slow_ngrams import random_texts

TEXTS = random_texts(100, 40, seed=3)


@pytest.mark.parametrize(("order", "unit"), [(1, "word"), (3, "word"), (5, "char")])
def test_a_written_model_reads_back_the_same(tmp_path: Path, order: int, unit: Unit) -> None:
    model = train(TEXTS, order, unit, language="ron")
    write_model(model, tmp_path / "lm.bin")
    again = read_model(tmp_path / "lm.bin")
    assert (again.unit, again.words, again.sizes, again.language) == (unit, model.words, model.sizes, "ron")
    for found, expected in zip(log_probs(again, TEXTS), log_probs(model, TEXTS), strict=True):
        assert np.array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["lm.bin"]
    assert isinstance(load_model(tmp_path / "lm.bin"), NGramModel)


def test_every_flipped_byte_of_the_arrays_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lm.bin"
    write_model(train(TEXTS, 2), path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in np.linspace(header, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(DataError, match="is damaged: the checksum of"):
            read_model(path)


def test_files_that_are_cut_off_foreign_or_newer_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lm.bin"
    write_model(train(TEXTS, 2), path)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="is damaged: it ends after"):
        read_model(path)
    path.write_bytes(content.replace(b'"version":"1"', b'"version":"9"'))
    with pytest.raises(DataError, match="has version 9 of its format, expected 1"):
        read_model(path)
    for other in (b"", b"12345678{}", b"\xff" * 100, json.dumps({"a": 1}).encode()):
        path.write_bytes(other)
        with pytest.raises(DataError, match="is not a language model that mms-dist wrote"):
            read_model(path)


def test_other_kinds_of_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lm"
    for content, words in (
        (b"", "is empty"),
        (b"iARPA\n", "one of IRSTLM's own formats"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(200), "the ARPA file that it was made from"),
        (b"some text\n" * 3, "not an ARPA file"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            load_model(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_model(tmp_path / "absent")
