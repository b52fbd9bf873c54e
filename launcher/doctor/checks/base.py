"""Is the base model there, of the right shape, and whole? Without reading its weights, unless asked to load them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch

from launcher.doctor.amount import amount
from launcher.doctor.finding import Notes
from launcher.doctor.subject import Subject
from launcher.doctor.weights import WEIGHTS, missing_weights, weight_files, weight_shapes
from mms_dist.errors import BaseModelError
from mms_dist.model.base import DTYPES, FrozenBase, resolve_base
from mms_dist.planning.shape import BaseShape

_ENDS_BYTES = 1 << 16


def look(subject: Subject, notes: Notes) -> None:
    """Gives the subject the base's shape."""
    if subject.config is None:
        notes.skip("which it is to be is not known without the configuration")
        return
    name = subject.config.model.base
    folder = folder_of(name)
    subject.shape = BaseShape.of(name)
    files = weight_files(folder) if folder is not None else []
    if not files:
        _nowhere(name, folder, notes)
        return
    subject.identity["base"] = identity_of(files)
    absent, others = missing_weights(name, weight_shapes(files))
    if absent or others:
        notes.fail(
            f"{name} lacks {len(absent)} weights that its config.json calls for, and {len(others)} have other shapes, "
            f"first {sorted(absent | others)[0]}",
            "fetch the checkpoint again",
        )
        return
    size = amount(sum(path.stat().st_size for path in files))
    told = f"{name}: {subject.shape.parameters / 1e6:,.1f} M parameters, {size} in {folder}"
    if subject.load:
        base = FrozenBase.load(name, dtype=DTYPES[subject.config.model.dtype], device="cpu")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in base.module.parameters()):
            notes.fail(f"{name} has weights that are NaN or infinite", "fetch the checkpoint again")
            return
        subject.loaded_base = base.identity()
        told += "; loaded, all weights finite"
    notes.ok(told)


def folder_of(name: str) -> Path | None:
    """Where the base lies on this machine: its folder, or the Hub's cache; None if it is not here.

    Raises:
        BaseModelError: the Hub's cache holds an unfinished download.
    """
    path = resolve_base(name)
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(path, "config.json")
    except HFValidationError:
        return None  # neither a folder nor a Hub name: reading its config.json says what is expected
    return Path(cached).parent if isinstance(cached, str) else None


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


def _nowhere(name: str, folder: Path | None, notes: Notes) -> None:
    """There is a configuration, and no weights."""
    if folder is not None and Path(resolve_base(name)).is_dir():
        raise BaseModelError(f"{folder} has a config.json and none of {', '.join(WEIGHTS)}; fetch the checkpoint again")
    notes.warn(
        f"the weights of {name} are not on this machine: every machine would fetch them from the Hub when it starts",
        f"hf download {name}, on a disk that all machines share (HF_HOME), or pass a folder as model.base",
    )
