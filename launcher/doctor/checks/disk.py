"""Check that there is room for the run's checkpoints."""

import os
import shutil
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, format_bytes, not_checked, ok, warning
from mms_dist.config import Adapter, Model
from mms_dist.model.base_shape import BaseShape, row_number_bytes
from mms_dist.model.optimizer import MOMENTS
from mms_dist.run_directory.paths import RunPaths

BESIDES_BYTES = 16 << 10
"""Size of a checkpoint without tensors: state, vocabulary, manifest, and the safetensors header."""
FILES = 6
"""Files per checkpoint, including its folder."""
FILES_OF_A_LANGUAGE = 4
"""Its folder, the pointers `last` and `best`, and a quarantine mark."""
FILES_OF_A_RUN = 16
"""Lock, configuration, status, events, metrics, TensorBoard files, and the folders around them."""
TENSORS = 1 + len(MOMENTS)
"""Tensors of the row's length: adapter and head, and the moments."""


def check(context: Context) -> Findings:
    """Compare the most that the run can write, less what it has already written, with the free space and inodes."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages or not context.directory_is_writable:
        yield not_checked("needs the configuration, the base, the shards and the run directory")
        return
    directory = Path(config.run.directory).absolute()
    place = next(path for path in (directory, *directory.parents) if path.exists())
    sizes = [
        checkpoint_bytes(config.model, config.adapter, shape, entry.vocabulary_size) for entry in context.languages
    ]
    copies = config.checkpoint.keep + 1  # the newest ones, and the best
    needed = copies * sum(sizes) + max(sizes)  # plus one that is being written
    written, entries = _written(RunPaths(directory).adapters)
    free, system = shutil.disk_usage(place).free, os.statvfs(place)
    files = files_of(copies, len(sizes))
    each = f"{copies} of {len(sizes):,} languages, {format_bytes(sum(sizes) / len(sizes))} each"
    found = (
        f"{format_bytes(needed)} for checkpoints ({each}), {format_bytes(written)} written, {format_bytes(free)} free "
        f"in {place}"
    )
    if needed - written > free:
        yield failed(found, "free space there, lower checkpoint.keep, or choose another run.directory")
    elif needed - written > 0.9 * free:
        yield warning(found, "free space there: the run would leave little for anything else")
    else:
        yield ok(f"{found}; quotas are not checked")
    if system.f_files and files - entries > system.f_favail:  # 0: the file system has no such limit
        yield failed(
            f"the run needs {files:,} files (inodes), {entries:,} exist, {system.f_favail:,} are free in {place}",
            "remove files there, lower checkpoint.keep, or choose another run.directory",
        )


def files_of(copies: int, languages: int) -> int:
    """Return the most files, folders and links that a run creates with `copies` checkpoints per language."""
    checkpoints = copies * languages + 1  # plus one that is being written
    return checkpoints * FILES + languages * FILES_OF_A_LANGUAGE + FILES_OF_A_RUN


def checkpoint_bytes(model: Model, adapter: Adapter, shape: BaseShape, vocabulary_size: int) -> int:
    """Return the size in bytes of one checkpoint of a language with `vocabulary_size` tokens."""
    dtype = "float64" if model.dtype == "float64" else "float32"  # rows are never below float32
    row = shape.row_numbers(adapter.dim, vocabulary_size) * row_number_bytes(dtype)
    return TENSORS * row + BESIDES_BYTES


def _written(adapters: Path) -> tuple[int, int]:
    """Return the bytes and the number of files, folders and links of the existing checkpoints."""
    total, count = 0, 0
    for path in adapters.rglob("*"):
        total, count = total + (path.lstat().st_size if path.is_file() else 0), count + 1
    return total, count
