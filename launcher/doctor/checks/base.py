"""Is the base model there, of the right shape, and whole? Without reading its weights, unless asked to load them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch

from launcher.doctor.amount import amount
from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.base_files.encoder import check_files
from mms_dist.base_files.place import folder_of
from mms_dist.base_files.weights import weight_files
from mms_dist.model.base import DTYPES, FrozenBase, read_base_config, resolve_base
from mms_dist.model.shape import BaseShape

_ENDS_BYTES = 1 << 16


def look(context: Context, notes: Notes) -> None:
    """Gives the subject the base's shape."""
    if context.config is None:
        notes.skip("which it is to be is not known without the configuration")
        return
    name = context.config.model.base
    folder = folder_of(resolve_base(name))
    context.shape = BaseShape.of(name)
    files = weight_files(folder) if folder is not None else []
    config = read_base_config(resolve_base(name), name)
    config.adapter_attn_dim = None
    check_files(resolve_base(name), config, name=f"model.base {name!r}")
    if not files:
        _nowhere(name, notes)
        return
    context.identity["base"] = identity_of(files)
    size = amount(sum(path.stat().st_size for path in files))
    told = f"{name}: {context.shape.parameters / 1e6:,.1f} M parameters, {size} in {folder}"
    if context.load:
        dtype = torch.float32 if context.config.model.dtype == "auto" else DTYPES[context.config.model.dtype]
        base = FrozenBase.load(name, dtype=dtype, device="cpu")
        context.loaded_base = base.weights_hash()
        told += "; loaded, all weights finite"
    notes.ok(told)


def identity_of(files: list[Path]) -> str:
    """A short name of a checkpoint, the same on every machine that has the same: of its configuration and of both ends
    of each file of weights (the first holds safetensors' table of contents)."""
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


def _nowhere(name: str, notes: Notes) -> None:
    """Of a repository on the Hub there is a configuration, and no weights."""
    notes.warn(
        f"the weights of {name} are not on this machine: every machine would fetch them from the Hub when it starts",
        f"hf download {name}, on a disk that all machines share (HF_HOME), or pass a folder as model.base",
    )
