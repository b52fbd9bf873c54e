"""A checkpoint's weights by name and shape, from tables of contents and not from the weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mms_dist.errors import BaseModelError
from mms_dist.model.base import read_base_config, resolve_base

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files that hold the weights or say which ones do, in the order in which Hugging Face looks for them."""
_OLD_NAMES = {"conv.weight_g": "conv.parametrizations.weight.original0"} | {
    "conv.weight_v": "conv.parametrizations.weight.original1"
}
"""What torch calls the positional convolution's normed weight since 2.0."""
_MADE_UP = "masked_spec_embed"
"""Absent where the base was trained without masking; then mms-dist masks with zeros."""

_Shapes = dict[str, tuple[int, ...]]


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that hold the weights; none if there are none.

    Raises:
        BaseModelError: an index of them cannot be read, or names a file that is not there.
    """
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None or first.suffix != ".json":
        return [] if first is None else [first]
    try:
        names = sorted(set(json.loads(first.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseModelError(f"{first} is no index of weights ({error}); fetch the checkpoint again") from error
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise BaseModelError(
            f"{folder} lacks {', '.join(absent)}, which {first.name} names; fetch the checkpoint again"
        )
    return [folder / name for name in names]


def weight_shapes(files: Sequence[Path]) -> _Shapes:
    """Every tensor's shape by its name.

    Raises:
        BaseModelError: a file is cut off or of another format.
    """
    shapes: _Shapes = {}
    for path in files:
        try:
            shapes |= safetensors_shapes(path) if path.suffix == ".safetensors" else _torch_shapes(path)
        except Exception as error:  # safetensors, zipfile and pickle have their own, without a common base
            reason = str(error).strip().split("\n")[0]
            raise BaseModelError(
                f"{path} ({path.stat().st_size:,} bytes) is no whole file of weights ({reason}); fetch it again"
            ) from error
    return shapes


def safetensors_shapes(path: Path) -> _Shapes:
    """Every tensor's shape by its name, from the head of one file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  # no mapping


def missing_weights(name: str, found: Mapping[str, tuple[int, ...]]) -> tuple[set[str], set[str]]:
    """Of the encoder that the base's config.json calls for: names that are not there, and names of other shapes."""
    from transformers import Wav2Vec2Model

    config = read_base_config(resolve_base(name), name)
    config.adapter_attn_dim = None
    with torch.device("meta"):
        needed = {key: tuple(tensor.shape) for key, tensor in Wav2Vec2Model(config).state_dict().items()}
    found = {_modern(key): shape for key, shape in found.items()}
    absent = {key for key in needed if key not in found and key != _MADE_UP}
    return absent, {key for key, shape in needed.items() if found.get(key, shape) != shape}


def _modern(key: str) -> str:
    """A name as the encoder by itself has it."""
    key = key.removeprefix("wav2vec2.")
    for old, new in _OLD_NAMES.items():
        key = key.removesuffix(old) + new if key.endswith(old) else key
    return key


def _torch_shapes(path: Path) -> _Shapes:
    weights: Any = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    return {key: tuple(tensor.shape) for key, tensor in weights.items()}
