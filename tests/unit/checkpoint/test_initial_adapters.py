"""What a language starts from where `adapter.init` names files."""

import json
from pathlib import Path

import pytest
import torch

from mms_dist.checkpoint.adapter_file import adapter_filename, write_adapter
from mms_dist.checkpoint.head_rows import MappedRows
from mms_dist.checkpoint.initial_adapters import InitialAdapters
from mms_dist.errors import CheckpointError, DataError
from mms_dist.model.adapter import AdapterShape, RowLayout, initial_tensors
from shards.vocabulary import FIXED, Vocabulary
from tests.checkpoint_samples import random_adapter

LAYOUT = RowLayout(layers=2, hidden=8, dim=4)
VOCABULARY = Vocabulary("ron", (*FIXED, "a", "b", "c"))
STARTS = InitialAdapters(LAYOUT, 3)
TRAINED = random_adapter(AdapterShape(layers=2, hidden=8, dim=4, vocabulary_size=8), seed=1)
HEAD = ("lm_head.weight", "lm_head.bias")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_adapter(tmp_path / adapter_filename("ron"), TRAINED)
    return tmp_path


def write_vocabulary(folder: Path, tokens: str) -> None:
    (folder / "vocab.json").write_text(json.dumps(Vocabulary("ron", (*FIXED, *tokens)).nested()))


@pytest.mark.parametrize("tokens", [None, "abc"])
def test_an_adapter_of_the_same_tokens_is_taken_with_its_head(folder: Path, tokens: str | None) -> None:
    if tokens:
        write_vocabulary(folder, tokens)
    found = STARTS.create(str(folder), VOCABULARY).tensors
    assert found.keys() == TRAINED.keys() and all(found[name].equal(tensor) for name, tensor in TRAINED.items())


@pytest.mark.parametrize(
    ("tokens", "taken", "new", "unused"),
    [("abd", 7, "c", 1), ("acb", 8, "", 0), ("ab", 7, "c", 0), ("abcd", 8, "", 1), ("xyz", 5, "abc", 3)],
)
def test_the_rows_of_another_vocabulary_are_taken_by_character(
    tmp_path: Path, tokens: str, taken: int, new: str, unused: int
) -> None:
    trained = random_adapter(AdapterShape(layers=2, hidden=8, dim=4, vocabulary_size=5 + len(tokens)), seed=1)
    write_adapter(tmp_path / adapter_filename("ron"), trained)
    write_vocabulary(tmp_path, tokens)
    first = STARTS.create(str(tmp_path), VOCABULARY)
    assert first.mapped == MappedRows(taken, tuple(new), unused)
    fresh = initial_tensors(LAYOUT, len(VOCABULARY), scheme="mms", seed=3, language="ron")
    others = (*FIXED, *tokens)
    for row, token in enumerate(VOCABULARY.tokens):
        for name in HEAD:
            source = trained[name][others.index(token)] if token in others else fresh[name][row].float()
            assert first.tensors[name][row].equal(source), (token, name)
    assert first.tensors.keys() == trained.keys()
    assert all(first.tensors[name].equal(tensor) for name, tensor in trained.items() if name not in HEAD)


def test_other_names_and_places_of_the_special_tokens_are_understood(folder: Path) -> None:
    published = {"a": 0, "b": 1, "c": 2, "|": 3, "[UNK]": 4, "[PAD]": 5, "<s>": 6, "</s>": 7}
    (folder / "vocab.json").write_text(json.dumps(published))
    first = STARTS.create(str(folder), VOCABULARY)
    assert first.mapped == MappedRows(8, (), 0)
    assert first.tensors["lm_head.bias"].equal(TRAINED["lm_head.bias"][[5, 6, 7, 4, 3, 0, 1, 2]])


def test_the_vocabulary_of_the_language_is_taken_of_several(folder: Path) -> None:
    other = {"ita": Vocabulary("ita", (*FIXED, "x")).nested()["ita"]}
    (folder / "vocab.json").write_text(json.dumps(other | VOCABULARY.nested()))
    assert STARTS.create(str(folder), VOCABULARY).mapped is None
    (folder / "vocab.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="no vocabulary of ron, only of ita"):
        STARTS.create(str(folder), VOCABULARY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is no vocabulary"),
        ('{"a": 0, "b": 0}', "each given once"),
        ('{"a": "0"}', "whole numbers"),
        ('{"a": 99}', "an id of 99 for ron, but the head in .* has 8 rows; copy both files"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_named(folder: Path, content: str, message: str) -> None:
    (folder / "vocab.json").write_text(content)
    with pytest.raises(DataError, match=message):
        STARTS.create(str(folder), VOCABULARY)


def test_without_a_vocabulary_the_size_of_the_head_must_fit(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a head of 8 tokens, but the shards of ron have 9.*put its vocab\.json"):
        STARTS.create(str(folder), Vocabulary("ron", (*FIXED, *"abcd")))


def test_of_a_single_file_the_layers_are_taken_and_the_head_is_new(folder: Path) -> None:
    for code in ("ron", "ukr"):
        vocabulary = Vocabulary(code, (*FIXED, *"abcd"))
        found = STARTS.create(str(folder / adapter_filename("ron")), vocabulary).tensors
        new = initial_tensors(LAYOUT, len(vocabulary), scheme="mms", seed=3, language=code)
        expected = TRAINED | {name: new[name] for name in HEAD}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
