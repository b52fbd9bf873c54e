"""Adapter files are Hugging Face's, both ways, and one that does not fit says why."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from mms_dist.checkpoint.adapter_file import read_adapter, serialize_adapter, write_adapter
from mms_dist.errors import CheckpointError
from mms_dist.model.adapter import AdapterShape
from tests.checkpoint_samples import random_adapter

SHAPE = AdapterShape(layers=2, hidden=8, dim=4, vocabulary_size=9)


@pytest.fixture
def reference_model() -> Wav2Vec2ForCTC:
    config = Wav2Vec2Config(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(4, 4),
        conv_kernel=(10, 3), conv_stride=(5, 2), feat_extract_norm="layer", do_stable_layer_norm=True,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, adapter_attn_dim=4, vocab_size=9, pad_token_id=0,
    )  # fmt: skip
    return Wav2Vec2ForCTC(config)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_an_adapter_comes_back_bit_for_bit_with_hugging_faces_metadata(tmp_path, dtype):
    path = tmp_path / "adapter.ron.safetensors"
    adapter = random_adapter(SHAPE, seed=0, dtype=dtype)
    write_adapter(path, adapter)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"}
    loaded = read_adapter(path, layers=2, hidden=8, dim=4, vocabulary_size=9)
    assert loaded.keys() == adapter.keys() == SHAPE.tensors().keys()
    assert all(torch.equal(loaded[n], adapter[n]) and loaded[n].dtype == dtype for n in adapter)


def test_the_keys_and_shapes_are_those_of_hugging_faces_own_model(reference_model):
    theirs = {name: tuple(t.shape) for name, t in reference_model._get_adapters().items()}
    assert SHAPE.tensors() == theirs


def test_a_file_written_by_hugging_face_loads_here(tmp_path, reference_model):
    path = tmp_path / "adapter.ron.safetensors"
    theirs = {name: t.detach() for name, t in reference_model._get_adapters().items()}
    safetensors.torch.save_file(theirs, path, metadata={"format": "pt"})
    loaded = read_adapter(path, layers=2, hidden=8, dim=4, vocabulary_size=9)
    assert all(torch.equal(loaded[name], theirs[name]) for name in theirs)


def test_a_file_written_here_loads_in_hugging_face(tmp_path, reference_model):
    reference_model.save_pretrained(tmp_path)
    adapter = random_adapter(AdapterShape(2, 8, 4, 13), seed=3)
    write_adapter(tmp_path / "adapter.ron.safetensors", adapter)
    loaded = Wav2Vec2ForCTC.from_pretrained(tmp_path, local_files_only=True)
    loaded.load_adapter("ron", local_files_only=True)
    theirs = loaded._get_adapters()
    assert all(torch.equal(theirs[name], adapter[name]) for name in adapter)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"layers": 3}, "found encoder layers 2, expected 3; .* set model.base"),
        ({"hidden": 16}, "found hidden size 8, expected 16; .* set model.base"),
        ({"dim": 16}, "found adapter dimension 4, expected 16; set adapter.dim to 4"),
        ({"vocabulary_size": 10}, "found vocabulary size 9, expected 10; .* another vocab.json"),
    ],
)
def test_an_adapter_of_another_size_says_what_was_found_and_expected(tmp_path, wanted, message):
    path = tmp_path / "adapter.ron.safetensors"
    write_adapter(path, random_adapter(SHAPE, seed=0))
    with pytest.raises(CheckpointError, match=rf"adapter.ron.safetensors does not fit: {message}"):
        read_adapter(path, **wanted)


def test_missing_extra_misshapen_and_diverged_tensors_are_named(tmp_path):
    path = tmp_path / "adapter.ron.safetensors"
    name = "wav2vec2.encoder.layers.1.adapter_layer.norm.weight"

    def changed(**tensors):
        adapter = dict(random_adapter(SHAPE, seed=0))
        for key, value in tensors.items():
            adapter.pop(key) if value is None else adapter.update({key: value})
        return adapter

    cases = [
        (changed(**{name: None}), f"1 missing tensors: {name}, expected 14 in total"),
        (changed(extra=torch.zeros(1)), "1 unknown tensors: extra, expected 14 in total"),
        (changed(**{name: torch.zeros(3)}), rf"found {name} of shape \(3,\), expected \(8,\)"),
        (
            changed(**{name: torch.zeros(8, dtype=torch.int32)}),
            f"found {name} of dtype torch.int32, expected floating point",
        ),
        (changed(**{name: torch.full((8,), float("nan"))}), f"found NaN or infinity in {name}"),
        (changed(**{"lm_head.weight": torch.zeros(8)}), r"found lm_head.weight of shape \(8,\), expected a matrix"),
        ({"lm_head.weight": torch.zeros(9, 8)}, "found lm_head.weight, expected wav2vec2.encoder"),
    ]
    for adapter, message in cases:
        with pytest.raises(CheckpointError, match=rf"cannot write .*{message}"):
            write_adapter(path, adapter)
        assert not path.exists()
        safetensors.torch.save_file(adapter, path, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=rf"does not fit: {message}"):
            read_adapter(path)
        path.unlink()


def test_a_missing_or_unreadable_file_is_named_with_the_fix(tmp_path):
    path = tmp_path / "adapter.ron.safetensors"
    with pytest.raises(CheckpointError, match=r"no adapter file .*adapter.ron.safetensors; check .* adapter.init"):
        read_adapter(path)
    write_adapter(path, random_adapter(SHAPE, seed=0))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=r"not a readable safetensors file"):
        read_adapter(path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 912345\n"
    instead = {pointer: "is a Git LFS pointer.*912,345.*git lfs pull", b"": "is empty", b"<html>": "is a web page"}
    for content, words in instead.items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"adapter.ron.safetensors {words}"):
            read_adapter(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"not a readable safetensors file"):
        read_adapter(path)
    with pytest.raises(CheckpointError, match=r"cannot write .*; free space there or choose another folder"):
        write_adapter(tmp_path / "nowhere" / "adapter.ron.safetensors", random_adapter(SHAPE, seed=0))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 3000), put=st.binary(max_size=8), left=st.one_of(st.none(), st.floats(0, 1)))
def test_no_damage_to_an_adapter_file_gives_a_traceback(tmp_path, at, put, left):
    content = bytearray(serialize_adapter(random_adapter(SHAPE, seed=0)))
    content[at : at + len(put)] = put
    path = tmp_path / "adapter.ron.safetensors"
    path.write_bytes(content if left is None else content[: int(len(content) * left)])
    try:
        read_adapter(path)
    except CheckpointError as error:
        assert str(path) in str(error)
