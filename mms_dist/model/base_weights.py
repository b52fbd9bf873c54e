"""List a checkpoint's weights by name, shape and file, from the files' tables of contents alone."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mms_dist.errors import BaseModelError
from mms_dist.model.base_config import needed_shapes
from mms_dist.model.base_files import check_content, how_to_fetch
from shards.errors import first_line

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights files and index files, in the order in which Hugging Face looks for them."""
_OLD_NAMES = {"conv.weight_g": "conv.parametrizations.weight.original0"} | {
    "conv.weight_v": "conv.parametrizations.weight.original1"
}
"""Names of the weight-normed positional convolution before torch 2.0 → since torch 2.0."""
MASK_EMBEDDING = "masked_spec_embed"
"""Missing if the base was trained without masking; mms-dist then masks with zeros."""
_ENCODER = re.compile(r"(feature_extractor|feature_projection|encoder)\.(?!.*adapter_layer\.)")
"""Names of the encoder's own weights; heads, quantizers and adapters are ignored."""
_FLOATING = ("F64", "F32", "F16", "BF16")
_LONGEST_HEADER_BYTES = 100 << 20
"""The safetensors library's own limit."""


@dataclass(frozen=True)
class Weight:
    """A tensor's shape, dtype and file."""

    shape: tuple[int, ...]
    dtype: str
    file: Path
    is_floating: bool


Table = dict[str, Weight]
"""Weights by the name they have in the file."""


def weight_files(folder: Path) -> list[Path]:
    """The weights files of a folder; empty if there are none.

    Raises:
        BaseModelError: their index cannot be read, or names a file that does not exist.
    """
    path = str(folder)
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None or first.suffix != ".json":
        return [] if first is None else [first]
    check_content(first, path)
    try:
        names = sorted(set(json.loads(first.read_text(encoding="utf-8"))["weight_map"].values()))
        absent = [name for name in names if not (folder / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BaseModelError(f"{first} is not a weights index ({first_line(error)})", fix=how_to_fetch(path)) from error
    if absent or not names:
        lacking = ", ".join(absent) or "all weights"
        raise BaseModelError(f"{folder} lacks {lacking}, which {first.name} lists", fix=how_to_fetch(path))
    return [folder / name for name in names]


def weight_table(files: Sequence[Path]) -> Table:
    """List every tensor of the files by name.

    Raises:
        BaseModelError: a file is truncated, has another format, or is not a weights file.
    """
    table: Table = {}
    for file in files:
        check_content(file, str(file.parent))
        try:
            table |= safetensors_table(file) if file.suffix == ".safetensors" else _torch_table(file)
        except Exception as error:  # the errors of safetensors, zipfile and pickle share no base class
            raise BaseModelError(
                f"{file} ({file.stat().st_size:,} bytes) is not a complete weights file "
                f"({_describe_damage(file, error)})",
                fix=how_to_fetch(str(file.parent)),
            ) from error
    return table


def safetensors_table(file: Path) -> Table:
    """List every tensor of one file by name, from the file's header."""
    from safetensors import safe_open

    table = {}
    with safe_open(file, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118  # not a mapping
            part = opened.get_slice(key)
            dtype = str(part.get_dtype())
            table[key] = Weight(tuple(part.get_shape()), dtype, file, dtype in _FLOATING)
    return table


def check_weights(path: str, name: str, config: Any, table: Table) -> None:
    """Check that the encoder of the base's config.json is complete: every tensor, in its shape, in floating point.

    Raises:
        BaseModelError: it is not.
    """
    found = {_modern(key): weight for key, weight in table.items()}
    needed = needed_shapes(config, path, name)
    absent = {key for key in needed if key not in found and key != MASK_EMBEDDING}
    others = {key for key, shape in needed.items() if key in found and found[key].shape != shape}
    if absent or others:
        first = min(absent | others)
        shapes = f" ({list(found[first].shape)}, expected {list(needed[first])})" if first in others else ""
        raise BaseModelError(
            f"{name} lacks {len(absent)} weights that its config.json requires, and {len(others)} have other shapes, "
            f"first {first}{shapes}",
            fix=how_to_fetch(path),
        )
    extra = sorted(key for key in found.keys() - needed.keys() if _ENCODER.match(key) and key != MASK_EMBEDDING)
    if extra:
        raise BaseModelError(
            f"{name} has {len(extra)} weights that its config.json does not describe, first {extra[0]}: the "
            "config.json belongs to another checkpoint",
            fix=how_to_fetch(path),
        )
    for key in sorted(needed.keys() & found.keys()):
        if not found[key].is_floating:
            raise BaseModelError(
                f"{found[key].file} has {key} as {found[key].dtype}, expected floating point: adapters cannot be "
                "trained on quantized checkpoints",
                fix=how_to_fetch(path),
            )


def file_of(table: Mapping[str, Weight], key: str) -> Path | None:
    """The file that an encoder tensor was read from."""
    return next((weight.file for name, weight in table.items() if _modern(name) == key), None)


def _modern(key: str) -> str:
    """The name that the encoder alone uses for a tensor."""
    key = key.removeprefix("wav2vec2.")
    for old, new in _OLD_NAMES.items():
        key = key.removesuffix(old) + new if key.endswith(old) else key
    return key


def _torch_table(file: Path) -> Table:
    """List a torch file's tensors. Files from before torch 1.6 are not zip archives and cannot be memory-mapped."""
    weights: Any = torch.load(file, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(file))
    return {
        key: Weight(tuple(tensor.shape), str(tensor.dtype), file, tensor.is_floating_point())
        for key, tensor in weights.items()
    }


def _describe_damage(file: Path, error: Exception) -> str:
    """Say how long the file should be if its own header tells; otherwise quote the library's error."""
    size = file.stat().st_size
    if file.suffix == ".safetensors":
        promised = _promised_bytes(file)
        if promised is not None and promised != size:
            return f"its header says {promised:,} bytes"
    elif _begins_with(file, b"PK") and not zipfile.is_zipfile(file):
        return "it is truncated: the end of the archive is missing"
    return first_line(error)[:200]


def _promised_bytes(file: Path) -> int | None:
    """The size of a safetensors file according to its header; None if the header is invalid."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER_BYTES:
            return None
        header = opened.read(length)
    if len(header) < length:
        return 8 + length
    try:
        ends = [entry["data_offsets"][1] for key, entry in json.loads(header).items() if key != "__metadata__"]
        return 8 + length + int(max(ends, default=0))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def _begins_with(file: Path, start: bytes) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(start)) == start
