"""Is there room for the run's checkpoints?"""

import os
import shutil
from pathlib import Path

from launcher.doctor.amount import amount
from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.config import Config
from mms_dist.model.shape import BaseShape, row_number_bytes

BESIDES_BYTES = 16 << 10
"""Of a checkpoint, beside its tensors: state, vocabulary, manifest, and the tensors' table of contents."""
FILES = 6
"""Of a checkpoint, its folder with them."""
FILES_OF_A_LANGUAGE = 4
"""Its folder, its pointers `last` and `best`, and a mark of quarantine."""
FILES_OF_A_RUN = 16
"""Lock, configuration, status, events, metrics, TensorBoard's files, and the folders around them."""
TENSORS = 3
"""As long as the row each: adapter and head, and AdamW's two moments."""


def look(context: Context, notes: Notes) -> None:
    """Compares what the run writes at most with what is free, and what it has written already with both."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages or not context.directory_is_writable:
        notes.skip("needs the configuration, the base, the shards and the run directory")
        return
    directory = Path(config.run.directory).absolute()
    place = next(path for path in (directory, *directory.parents) if path.exists())
    sizes = [checkpoint_bytes(config, shape, entry.vocabulary_size) for entry in context.languages]
    copies = config.checkpoint.keep + 1  # the newest ones, and the best
    needed = copies * sum(sizes) + max(sizes)  # and one that is being written
    written, entries = _written(directory / "adapters")
    free, system = shutil.disk_usage(place).free, os.statvfs(place)
    files = files_of(copies, len(sizes))
    each = f"{copies} of {len(sizes):,} languages, {amount(sum(sizes) / len(sizes))} each"
    told = f"{amount(needed)} for checkpoints ({each}), {amount(written)} written, {amount(free)} free in {place}"
    if needed - written > free:
        notes.fail(told, "free space there, lower checkpoint.keep, or choose another run.directory")
    elif needed - written > 0.9 * free:
        notes.warn(told, "free space there: little would be left for anything else")
    else:
        notes.ok(f"{told}; quotas are not looked at")
    if system.f_files and files - entries > system.f_favail:  # 0: the file system has no such bound
        notes.fail(
            f"{files:,} files (inodes) for the run, {entries:,} there, {system.f_favail:,} more possible in {place}",
            "remove files there, lower checkpoint.keep, or choose another run.directory",
        )


def files_of(copies: int, languages: int) -> int:
    """Files, folders and links that a run makes at most, with so many checkpoints of each language."""
    checkpoints = copies * languages + 1  # and one that is being written
    return checkpoints * FILES + languages * FILES_OF_A_LANGUAGE + FILES_OF_A_RUN


def checkpoint_bytes(config: Config, shape: BaseShape, vocabulary_size: int) -> int:
    """Of one checkpoint of a language with so many tokens."""
    dtype = "float64" if config.model.dtype == "float64" else "float32"  # rows are never below float32
    row = shape.row_numbers(config.adapter.dim, vocabulary_size) * row_number_bytes(dtype)
    return TENSORS * row + BESIDES_BYTES


def _written(adapters: Path) -> tuple[int, int]:
    """Bytes and files of the checkpoints there are, folders and links with them."""
    total, count = 0, 0
    for path in adapters.rglob("*"):
        total, count = total + (path.lstat().st_size if path.is_file() else 0), count + 1
    return total, count
