"""A checkpoint's weights by name, shape and file, from tables of contents and not from the weights."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mms_dist.base_files.config import needed_shapes
from mms_dist.base_files.place import check_content, how_to_fetch
from mms_dist.base_files.quiet import first_line
from mms_dist.errors import BaseModelError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Files that hold the weights or say which ones do, in the order in which Hugging Face looks for them."""
_OLD_NAMES = {"conv.weight_g": "conv.parametrizations.weight.original0"} | {
    "conv.weight_v": "conv.parametrizations.weight.original1"
}
"""What torch calls the positional convolution's normed weight since 2.0."""
MADE_UP = "masked_spec_embed"
"""Absent where the base was trained without masking; then mms-dist masks with zeros."""
_ENCODER = re.compile(r"(feature_extractor|feature_projection|encoder)\.(?!.*adapter_layer\.)")
"""Names of the encoder's own weights; heads, quantizers and adapters are left aside."""
_FLOATING = ("F64", "F32", "F16", "BF16")
_LONGEST_HEAD_BYTES = 100 << 20
"""Of a safetensors file, as the library itself has it."""


@dataclass(frozen=True)
class Weight:
    """Where a tensor lies, and what it is."""

    shape: tuple[int, ...]
    dtype: str
    file: Path
    is_floating: bool


Table = dict[str, Weight]
"""By name, as the file has it."""


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that hold the weights; none if there are none.

    Raises:
        BaseModelError: an index of them cannot be read, or names a file that is not there.
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
        raise BaseModelError(
            f"{first} is no index of weights ({first_line(error)})", fix=f"{how_to_fetch(path)}"
        ) from error
    if absent or not names:
        lacking = ", ".join(absent) or "all weights"
        raise BaseModelError(f"{folder} lacks {lacking}, which {first.name} names", fix=f"{how_to_fetch(path)}")
    return [folder / name for name in names]


def weight_table(files: Sequence[Path]) -> Table:
    """Every tensor by its name.

    Raises:
        BaseModelError: a file is cut off, of another format, or something else lies in its place.
    """
    table: Table = {}
    for file in files:
        check_content(file, str(file.parent))
        try:
            table |= safetensors_table(file) if file.suffix == ".safetensors" else _torch_table(file)
        except Exception as error:  # safetensors, zipfile and pickle have their own, without a common base
            raise BaseModelError(
                f"{file} ({file.stat().st_size:,} bytes) is no whole file of weights ({_what_is_wrong(file, error)})",
                fix=f"{how_to_fetch(str(file.parent))}",
            ) from error
    return table


def safetensors_table(file: Path) -> Table:
    """Every tensor by its name, from the head of one file."""
    from safetensors import safe_open

    table = {}
    with safe_open(file, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118  # no mapping
            part = opened.get_slice(key)
            dtype = str(part.get_dtype())
            table[key] = Weight(tuple(part.get_shape()), dtype, file, dtype in _FLOATING)
    return table


def check_weights(path: str, name: str, config: Any, table: Table) -> None:
    """The encoder that the base's config.json calls for is there: every tensor, of its shape, of numbers.

    Raises:
        BaseModelError: it is not.
    """
    found = {_modern(key): weight for key, weight in table.items()}
    needed = needed_shapes(config, path, name)
    absent = {key for key in needed if key not in found and key != MADE_UP}
    others = {key for key, shape in needed.items() if key in found and found[key].shape != shape}
    if absent or others:
        first = min(absent | others)
        shapes = f" ({list(found[first].shape)}, expected {list(needed[first])})" if first in others else ""
        raise BaseModelError(
            f"{name} lacks {len(absent)} weights that its config.json calls for, and {len(others)} have other shapes, "
            f"first {first}{shapes}",
            fix=f"{how_to_fetch(path)}",
        )
    uncalled = sorted(key for key in found.keys() - needed.keys() if _ENCODER.match(key) and key != MADE_UP)
    if uncalled:
        raise BaseModelError(
            f"{name} has {len(uncalled)} weights that its config.json does not call for, first {uncalled[0]}: that "
            "file is of another checkpoint",
            fix=f"{how_to_fetch(path)}",
        )
    for key in sorted(needed.keys() & found.keys()):
        if not found[key].is_floating:
            raise BaseModelError(
                f"{found[key].file} has {key} as {found[key].dtype}, expected floating point: quantized checkpoints "
                "cannot be trained on",
                fix=f"{how_to_fetch(path)}",
            )


def file_of(table: Mapping[str, Weight], key: str) -> Path | None:
    """The file that a tensor of the encoder was read from."""
    return next((weight.file for name, weight in table.items() if _modern(name) == key), None)


def _modern(key: str) -> str:
    """A name as the encoder by itself has it."""
    key = key.removeprefix("wav2vec2.")
    for old, new in _OLD_NAMES.items():
        key = key.removesuffix(old) + new if key.endswith(old) else key
    return key


def _torch_table(file: Path) -> Table:
    """Files of before torch 1.6 are no archives, and cannot be mapped."""
    weights: Any = torch.load(file, map_location="meta", weights_only=True, mmap=zipfile.is_zipfile(file))
    return {
        key: Weight(tuple(tensor.shape), str(tensor.dtype), file, tensor.is_floating_point())
        for key, tensor in weights.items()
    }


def _what_is_wrong(file: Path, error: Exception) -> str:
    """Where the file itself says how long it should be, both figures; else what the library says."""
    size = file.stat().st_size
    if file.suffix == ".safetensors":
        promised = _promised_bytes(file)
        if promised is not None and promised != size:
            return f"its head promises {promised:,} bytes"
    elif _begins_with(file, b"PK") and not zipfile.is_zipfile(file):
        return "it is cut short: the end of the archive is missing"
    return first_line(error)[:200]


def _promised_bytes(file: Path) -> int | None:
    """Of a safetensors file by its head; None if that makes no sense."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEAD_BYTES:
            return None
        head = opened.read(length)
    if len(head) < length:
        return 8 + length
    try:
        ends = [entry["data_offsets"][1] for key, entry in json.loads(head).items() if key != "__metadata__"]
        return 8 + length + int(max(ends, default=0))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def _begins_with(file: Path, start: bytes) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(start)) == start
