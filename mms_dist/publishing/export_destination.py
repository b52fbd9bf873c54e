"""The destination of an export. The export is written next to it under a hidden name, and moved there when complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors import SafetensorError

from mms_dist.errors import CheckpointError
from mms_dist.files import sync_directory
from shards.file_lock import LockedError, lock_descriptor

EXPORT_MARK = "mms-dist-export.json"


class Destination:
    """The folder of an export.

    An earlier export there is replaced. Any other folder with files in it is left alone, or with `force` renamed; a
    folder that is not an export is never deleted.
    """

    def __init__(self, folder: Path, *, force: bool, protected: Sequence[Path], inside: Sequence[Path] = ()) -> None:
        """
        Args:
            protected: folders that must not be at or below the destination, such as the run itself.
            inside: folders that the destination must not be at or below, such as the run's checkpoints.

        Raises:
            CheckpointError: the folder must not be overwritten.
        """
        self.folder = folder.expanduser().absolute()
        self._staging = self.folder.with_name(f".{self.folder.name}.staging")
        self._replaced = self.folder.with_name(f".{self.folder.name}.replaced")
        for path in inside:
            if self.folder.resolve().is_relative_to(path.absolute().resolve()):
                raise CheckpointError(f"{self.folder} is inside {path}", fix="choose another folder with --to")
        for path in protected:
            if path.absolute().resolve().is_relative_to(self.folder.resolve()):
                raise CheckpointError(f"{self.folder} contains {path}", fix="choose another folder with --to")
        if not force and not self._may_be_replaced():
            raise CheckpointError(
                f"{self.folder} exists and is not an export",
                fix=(
                    "choose another folder with --to, or use --force, which renames the existing folder to "
                    f"{self._aside().name}"
                ),
            )

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Provide an empty folder to write to; it becomes the destination when the block ends without an error.

        Raises:
            CheckpointError: another process is exporting to the destination, or it cannot be written.
        """
        descriptor = None
        try:
            try:
                self._staging.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                lock_descriptor(descriptor, wait=False)
            except LockedError as problem:
                raise CheckpointError(
                    f"another export to {self.folder} is running", fix="wait until it has finished"
                ) from problem
            try:
                self._recover()
                yield self._staging
                self._move_in()
            except BaseException:
                shutil.rmtree(self._staging, ignore_errors=True)
                raise
        except (OSError, SafetensorError) as problem:  # safetensors reports a full disk as SafetensorError
            raise CheckpointError(
                f"cannot write the export {self.folder}: {problem}",
                fix="free space there, or choose another folder with --to",
            ) from problem
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _recover(self) -> None:
        """Remove the files that a killed export left, and restore the export it was about to replace."""
        for entry in self._staging.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if self._replaced.exists():
            if self.folder.exists():
                shutil.rmtree(self._replaced)
            else:
                os.rename(self._replaced, self.folder)

    def _move_in(self) -> None:
        for path in sorted(self._staging.rglob("*")):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                os.fsync(descriptor)
                os.close(descriptor)
        sync_directory(self._staging)
        if self.folder.exists():
            os.rename(self.folder, self._replaced if self._may_be_replaced() else self._aside())
        os.rename(self._staging, self.folder)
        sync_directory(self.folder.parent)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def _may_be_replaced(self) -> bool:
        """Whether the destination does not exist, is empty, or is an earlier export."""
        if not self.folder.exists():
            return True
        return self.folder.is_dir() and (
            (self.folder / EXPORT_MARK).is_file() or next(self.folder.iterdir(), None) is None
        )

    def _aside(self) -> Path:
        number = 1
        while (path := self.folder.with_name(f"{self.folder.name}.before-export-{number}")).exists():
            number += 1
        return path
