"""What a language starts from where `adapter.init` names files."""

import json
from pathlib import Path

import pytest
import torch

from mms_dist.checkpoint.adapter_file import adapter_filename, write_adapter
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
    found = STARTS.tensors(str(folder), VOCABULARY)
    assert found.keys() == TRAINED.keys() and all(found[name].equal(tensor) for name, tensor in TRAINED.items())


@pytest.mark.parametrize("tokens", ["abd", "acb", "ab", "abcd"])
def test_an_adapter_of_other_tokens_is_refused_though_they_may_be_as_many(folder: Path, tokens: str) -> None:
    write_vocabulary(folder, tokens)
    with pytest.raises(DataError, match=r"vocab\.json has \d tokens for ron, but the shards have 8 different ones"):
        STARTS.tensors(str(folder), VOCABULARY)


def test_without_a_vocabulary_the_size_of_the_head_must_fit(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="vocabulary size 8, expected 9"):
        STARTS.tensors(str(folder), Vocabulary("ron", (*FIXED, *"abcd")))


def test_of_a_single_file_the_layers_are_taken_and_the_head_is_new(folder: Path) -> None:
    for code in ("ron", "ukr"):
        vocabulary = Vocabulary(code, (*FIXED, *"abcd"))
        found = STARTS.tensors(str(folder / adapter_filename("ron")), vocabulary)
        new = initial_tensors(LAYOUT, len(vocabulary), scheme="mms", seed=3, language=code)
        expected = TRAINED | {name: new[name] for name in HEAD}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
