"""`mms-dist doctor` and the base model: whatever is wrong with it is found without loading it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch

from tests.doctoring import examined, failed, warned


def _cut(base: Path) -> None:
    with (base / "model.safetensors").open("ab") as file:
        file.truncate(20_000)


def _take_out(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    del tensors["wav2vec2.encoder.layers.1.attention.k_proj.weight"]
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _reshape(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    tensors["wav2vec2.encoder.layer_norm.weight"] = torch.ones(7)
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _index_without_part(base: Path) -> None:
    (base / "model.safetensors").rename(base / "part-1.safetensors")
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))


def _without_weights(base: Path) -> None:
    (base / "model.safetensors").unlink()


def _torch_file_cut(base: Path) -> None:
    _as_torch_file(base)
    with (base / "pytorch_model.bin").open("ab") as file:
        file.truncate(20_000)


def _as_torch_file(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    old = "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original"
    for number, name in enumerate("gv"):  # as files of before torch 2 have them
        if f"{old}{number}" in tensors:
            tensors[f"wav2vec2.encoder.pos_conv_embed.conv.weight_{name}"] = tensors.pop(f"{old}{number}")
    torch.save(tensors, base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_cut, "model.safetensors (20,000 bytes) is not a complete weights file"),
        (_take_out, "lacks 1 weights that its config.json requires"),
        (_reshape, "1 have other shapes, first encoder.layer_norm.weight"),
        (_index_without_part, "lacks part-2.safetensors"),
        (_without_weights, "none of model.safetensors"),
        (_torch_file_cut, "pytorch_model.bin (20,000 bytes)"),
    ],
)
def test_a_damaged_base_is_found_without_loading_it(
    config: Path, base: Path, breaks: Callable[[Path], None], words: str
) -> None:
    breaks(base)
    told = failed(examined(config))
    assert told.keys() == {"base model"}
    assert words in told["base model"]
    assert "fetch" in told["base model"]


def test_a_base_in_torchs_old_format_is_whole(config: Path, base: Path) -> None:
    _as_torch_file(base)
    assert failed(examined(config, load=True)) == {}


def test_a_weight_that_is_nan_is_found_by_loading(config: Path, base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    tensors["wav2vec2.encoder.layer_norm.weight"][3] = torch.nan
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    assert failed(examined(config)) == {}
    assert "NaN" in failed(examined(config, load=True))["base model"]


def test_a_base_from_the_hub_is_found_in_its_cache_and_its_absence_told(
    config: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--own--base" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(base, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(huggingface_hub.constants, name, str(tmp_path / "hub"))
    findings = examined(config, "--model.base", "own/base")
    assert failed(findings) == warned(findings) == {}
    assert any(str(snapshot) in finding.found for finding in findings)
    (snapshot / "model.safetensors").unlink()
    findings = examined(config, "--model.base", "own/base")
    assert failed(findings) == {}
    assert "hf download own/base" in warned(findings)["base model"]
    assert "cannot be loaded" in failed(examined(config, "--model.base", "own/other"))["base model"]
