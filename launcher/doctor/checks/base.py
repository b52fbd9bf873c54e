"""Check that the base model is present, complete and of the right shape. Read its weights only on request."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, format_bytes, not_checked, ok, warning
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.base_config import read_base_config
from mms_dist.model.base_encoder import check_files
from mms_dist.model.base_files import folder_of, resolve_base
from mms_dist.model.base_shape import BaseShape
from mms_dist.model.base_weights import weight_files

_ENDS_BYTES = 1 << 16


def check(context: Context) -> Findings:
    """Check the base, and store its shape in the context."""
    if context.config is None:
        yield not_checked("needs the configuration, which names the base")
        return
    name = context.config.model.base
    folder = folder_of(resolve_base(name))
    context.shape = BaseShape.of(name)
    files = weight_files(folder) if folder is not None else []
    config = read_base_config(resolve_base(name), name)
    config.adapter_attn_dim = None
    check_files(resolve_base(name), config, name=f"model.base {name!r}")
    if not files:
        yield warning(
            f"the weights of {name} are not on this machine: every machine would download them from the Hub when it "
            "starts",
            f"hf download {name} to a disk that all machines share (HF_HOME), or set model.base to a folder",
        )
        return
    context.identity["base"] = identity_of(files)
    size = format_bytes(sum(path.stat().st_size for path in files))
    found = f"{name}: {context.shape.parameters / 1e6:,.1f} M parameters, {size} in {folder}"
    if context.load:
        dtype = torch.float32 if context.config.model.dtype == "auto" else DTYPES[context.config.model.dtype]
        base = FrozenBase.load(name, dtype=dtype, device="cpu")
        context.loaded_base = base.weights_hash()
        found += "; loaded, all weights finite"
    yield ok(found)


def identity_of(files: list[Path]) -> str:
    """Return a short hash of a checkpoint, to compare machines.

    It covers the configuration and both ends of each weight file. The start of a safetensors file is its header.
    """
    digest = hashlib.sha256((files[0].parent / "config.json").read_bytes())
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        for end in _ends(path):
            digest.update(end)
    return digest.hexdigest()[:16]


def _ends(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield file.read(_ENDS_BYTES)
        file.seek(max(0, path.stat().st_size - _ENDS_BYTES))
        yield file.read(_ENDS_BYTES)
