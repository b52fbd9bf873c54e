"""Hugging Face's adapter file, `adapter.<lang>.safetensors`: one language's norms, projections and head.

Its keys are exactly those that `Wav2Vec2ForCTC.load_adapter` expects (`model.adapter` names them). The adapters Meta
published for mms-1b-all have the same layout.

Legend: V vocabulary size, H hidden size, D adapter dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from mms_dist.errors import CheckpointError
from mms_dist.finite import all_finite
from mms_dist.model.adapter import DOWN_WEIGHT, HEAD_WEIGHT, AdapterShape
from shards.errors import ReportedError
from shards.file_content import detect_placeholder

_METADATA = {"format": "pt"}
_NAMES_SHOWN = 4


class AdapterMismatch(ReportedError, ValueError):
    """Tensors or a vocabulary are not those of an adapter, or not of one of the expected size."""


def adapter_filename(language: str) -> str:
    """The file name that Hugging Face looks for."""
    return f"adapter.{language}.safetensors"


def serialize_adapter(tensors: Mapping[str, Tensor]) -> bytes:
    """Encode tensors as an adapter file."""
    return safetensors.torch.save({name: t.contiguous() for name, t in tensors.items()}, metadata=_METADATA)


def write_adapter(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write an adapter file, after checking that the tensors form one adapter.

    Raises:
        CheckpointError: the tensors are not an adapter, or the file cannot be written.
    """
    try:
        check_adapter(tensors)
    except AdapterMismatch as problem:
        raise CheckpointError(f"cannot write {path}: {problem.found}", problem.fix) from problem
    try:
        path.write_bytes(serialize_adapter(tensors))
    except OSError as problem:
        raise CheckpointError(
            f"cannot write {path}: {problem.strerror}", fix="free space there or choose another folder"
        ) from problem


def read_adapter(
    path: Path,
    *,
    layers: int | None = None,
    hidden: int | None = None,
    dim: int | None = None,
    vocabulary_size: int | None = None,
) -> dict[str, Tensor]:
    """Read an adapter file's tensors, on the CPU, in the file's own dtype.

    `None` accepts any value: an adapter used to initialise another language may have any vocabulary.

    Raises:
        CheckpointError: the file does not exist, is not an adapter, or does not fit; says what was found and expected.
    """
    try:
        instead = detect_placeholder(path)
        tensors = {} if instead else safetensors.torch.load_file(path)
    except FileNotFoundError as problem:
        raise CheckpointError(f"found no adapter file {path}", fix="check the path in adapter.init") from problem
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as problem:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({problem})", fix="copy or download it again"
        ) from problem
    if instead is not None:
        raise CheckpointError(f"the adapter file {path} {instead.found}", instead.fix)
    try:
        check_adapter(tensors, layers=layers, hidden=hidden, dim=dim, vocabulary_size=vocabulary_size)
    except AdapterMismatch as problem:
        raise CheckpointError(f"the adapter file {path} does not fit: {problem.found}", problem.fix) from problem
    return tensors


def check_adapter(
    tensors: Mapping[str, Tensor],
    *,
    layers: int | None = None,
    hidden: int | None = None,
    dim: int | None = None,
    vocabulary_size: int | None = None,
) -> AdapterShape:
    """Check that keys, shapes, dtypes and values are those of one adapter of the expected size.

    Returns:
        The adapter's own shape.

    Raises:
        AdapterMismatch: they are not; says what was found, what was expected and how to fix it.
    """
    shape = _shape_of(tensors)
    other_base = "it was trained on another base model: set model.base to that one"
    wanted = (
        ("encoder layers", shape.layers, layers, other_base),
        ("hidden size", shape.hidden, hidden, other_base),
        ("adapter dimension", shape.dim, dim, f"set adapter.dim to {shape.dim}"),
        ("vocabulary size", shape.vocabulary_size, vocabulary_size, "it belongs to another vocab.json: use that one"),
    )
    for noun, found, expected, fix in wanted:
        if expected is not None and found != expected:
            raise AdapterMismatch(f"found {noun} {found}, expected {expected}", fix)
    _check_tensors(tensors, shape)
    return shape


def _shape_of(tensors: Mapping[str, Tensor]) -> AdapterShape:
    for name, tensor in tensors.items():
        if name.endswith((DOWN_WEIGHT, HEAD_WEIGHT)) and tensor.ndim != 2:
            raise AdapterMismatch(f"found {name} of shape {tuple(tensor.shape)}, expected a matrix")
    shape = AdapterShape.of({name: tensor.shape for name, tensor in tensors.items()})
    if shape is None:
        shown = ", ".join(sorted(tensors)[:_NAMES_SHOWN]) or "nothing"
        raise AdapterMismatch(
            f"found {shown}{' …' if len(tensors) > _NAMES_SHOWN else ''}, expected wav2vec2.encoder.layers."
            "{i}.adapter_layer.* and lm_head.* as in adapter.<lang>.safetensors of facebook/mms-1b-all"
        )
    return shape


def _check_tensors(tensors: Mapping[str, Tensor], shape: AdapterShape) -> None:
    expected = shape.tensors()
    for what, names in (
        ("missing", expected.keys() - tensors.keys()),
        ("unknown", tensors.keys() - expected.keys()),
    ):
        if names:
            shown = ", ".join(sorted(names)[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")
            raise AdapterMismatch(
                f"{len(names)} {what} tensors: {shown}, expected {len(expected)} in total", "export it again"
            )
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != expected[name]:
            raise AdapterMismatch(f"found {name} of shape {tuple(tensor.shape)}, expected {expected[name]}")
        if not tensor.is_floating_point():
            raise AdapterMismatch(f"found {name} of dtype {tensor.dtype}, expected floating point")
        if not all_finite(tensor):
            raise AdapterMismatch(f"found NaN or infinity in {name}", "use an earlier checkpoint")
