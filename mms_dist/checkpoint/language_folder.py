"""One language's checkpoint folder: the names in it, and the atomic moves between them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mms_dist.checkpoint.checkpoint_folder import folder_name, parse_step, snapshot_files
from mms_dist.checkpoint.manifest import CheckpointManifest, read_folder, write_folder
from mms_dist.checkpoint.snapshot import DamagedCheckpoint, Snapshot
from mms_dist.errors import CheckpointError
from mms_dist.files import read_file, remove_tree, replace_symlink, sync_directory, unique, write_synced
from mms_dist.run_directory.paths import MANIFEST_NAME

PointerName = Literal["last", "best"]
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
POINTERS: tuple[PointerName, ...] = ("last", "best")


class LanguageFolder:
    """The folder RUN/adapters/<lang>. It keeps no state in memory: the disk is the state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def steps(self) -> list[int]:
        """The steps that have a folder, ascending."""
        try:
            names = [entry.name for entry in os.scandir(self.path) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(step for name in names if (step := parse_step(name)) is not None)

    def pointed(self, name: PointerName) -> int | None:
        """The step that a pointer names, if its folder exists.

        A run copied with links followed (`cp -rL`) has a folder in place of the pointer; its manifest names the step.
        """
        link = self.path / name
        step = parse_step(os.readlink(link)) if link.is_symlink() else step_of_copy(link)
        return step if step is not None and (self.path / folder_name(step)).is_dir() else None

    def point(self, name: PointerName, step: int) -> None:
        """Move a pointer."""
        try:
            replace_symlink(self.path / name, folder_name(step))
        except OSError as problem:
            raise writing_error(self.path / name, 0, problem) from problem

    def save(self, snapshot: Snapshot, *, is_complete: Callable[[], bool]) -> Path:
        """Write a checkpoint under a staging name, then move it to its final name.

        is_complete: returns whether an existing folder with the final name is a complete checkpoint.
        """
        final = self.path / folder_name(snapshot.step)
        contents = snapshot_files(snapshot)
        if final.is_dir():
            if not is_complete():
                self.put_aside(snapshot.step)
            elif _has(final, CheckpointManifest.of(snapshot.language, snapshot.step, contents)):
                return final
        staging = self.path / unique(f".staging-{final.name}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            sync_directory(self.path.parent)
            staging.mkdir()
            write_folder(staging, snapshot.language, snapshot.step, contents)
            sync_directory(staging)
            self._move_in(staging, final)
        except OSError as problem:
            shutil.rmtree(staging, ignore_errors=True)
            raise writing_error(final, sum(map(len, contents.values())), problem) from problem
        return final

    def _move_in(self, staging: Path, final: Path) -> None:
        """Give a finished folder its final name, and replace an existing one.

        No portable call swaps two folders. If the process is killed between the two renames, the old folder is still
        there as `.replaced-…`, and `recover` restores it.
        """
        if not final.is_dir():
            os.rename(staging, final)
            sync_directory(self.path)
            return
        replaced = self.path / unique(f".replaced-{final.name}")
        os.rename(final, replaced)
        try:
            os.rename(staging, final)
        except OSError:
            os.rename(replaced, final)
            raise
        sync_directory(self.path)
        remove_tree(replaced)

    def put_aside(self, step: int) -> None:
        """Rename a damaged checkpoint to a name that nothing reads or deletes, so that it can be inspected."""
        name = f"damaged-{folder_name(step)}"
        number = 1
        while (self.path / name).exists():
            number += 1
            name = f"damaged-{folder_name(step)}-{number}"
        os.rename(self.path / folder_name(step), self.path / name)
        sync_directory(self.path)

    def remove(self, step: int) -> None:
        """Delete one checkpoint."""
        remove_tree(self.path / folder_name(step))

    def roll_back(self, step: int) -> None:
        """Point `last` to this step and delete all later ones, newest first."""
        best = self.pointed("best")
        self.point("last", step)
        if best is not None and best > step:
            (self.path / "best").unlink()
        for later in reversed(self.steps()):
            if later > step:
                self.remove(later)

    def delete(self) -> None:
        """Remove the folder atomically."""
        if self.path.is_dir():
            remove_tree(self.path)

    def copy_from(self, source: LanguageFolder, steps: Sequence[int]) -> None:
        """Copy these checkpoints and the pointers to them, in one atomic move."""
        if self.path.exists():
            raise CheckpointError(f"{self.path} already exists", fix="delete that language there before copying it")
        staging = self.path.with_name(unique(f".staging-{self.path.name}"))
        try:
            staging.mkdir(parents=True)
            for step in steps:
                folder = staging / folder_name(step)
                folder.mkdir()
                for file in sorted((source.path / folder.name).iterdir()):
                    if not file.name.startswith("."):
                        write_synced(folder / file.name, file.read_bytes())
                sync_directory(folder)
            for name in POINTERS:
                pointed = source.pointed(name)
                if pointed is not None and pointed in steps:
                    replace_symlink(staging / name, folder_name(pointed))
            os.rename(staging, self.path)
            sync_directory(self.path.parent)
        except OSError as problem:
            shutil.rmtree(staging, ignore_errors=True)
            raise writing_error(self.path, source.bytes(steps), problem) from problem

    def bytes(self, steps: Sequence[int]) -> int:
        """Total size of all files of these steps."""
        return sum(f.stat().st_size for step in steps for f in (self.path / folder_name(step)).iterdir())

    def recover(self) -> list[str]:
        """Clean up hidden names that a killed writer left; return what was done."""
        done: list[str] = []
        for path in sorted(self.path.glob(".replaced-step-*")):
            final = self.path / path.name.removeprefix(".replaced-").rpartition("-")[0]
            if parse_step(final.name) is not None and not final.exists():
                os.rename(path, final)
                done.append(f"restored {final}, because its replacement was interrupted")
        for path in sorted(self.path.glob(".*")):
            done += self.sweep(path)
        for name in POINTERS:
            if (self.path / name).is_dir() and not (self.path / name).is_symlink():
                done.append(self._restore_pointer(name))
        if done:
            sync_directory(self.path)
        return done

    def _restore_pointer(self, name: PointerName) -> str:
        """Turn a folder back into a pointer, after the run was copied with links followed; return what was done."""
        copy, step = self.path / name, step_of_copy(self.path / name)
        if step is None:
            os.rename(copy, self.path / unique(f"damaged-{name}"))
            return f"renamed {copy} to damaged-…: it is a folder, but not a checkpoint"
        own = self.path / folder_name(step)
        if own.is_dir() and (_is_intact(own) or not _is_intact(copy)):
            remove_tree(copy)
        else:
            if own.is_dir():
                self.put_aside(step)
            os.rename(copy, own)
        self.point(name, step)
        return f"pointed {copy} to step {step}: it was a copy of that step"

    @staticmethod
    def sweep(path: Path) -> list[str]:
        """Remove one hidden name, if a store created it."""
        if path.is_symlink() and path.name.startswith(tuple(f".{name}-" for name in POINTERS)):
            path.unlink()
        elif path.is_dir() and path.name.startswith((".staging-", ".replaced-", ".removing-")):
            shutil.rmtree(path)
        elif path.is_file() and path.name.startswith(".staging-"):
            path.unlink()
        else:
            return []
        return [f"removed {path}, left by an interrupted run"]


def step_of_copy(folder: Path) -> int | None:
    """The step in the manifest of a folder under any name; None if it is not a checkpoint."""
    try:
        return CheckpointManifest.decode(folder / MANIFEST_NAME, read_file(folder / MANIFEST_NAME)).step
    except (OSError, DamagedCheckpoint):
        return None


def _is_intact(folder: Path) -> bool:
    try:
        read_folder(folder)
    except DamagedCheckpoint:
        return False
    return True


def _has(folder: Path, manifest: CheckpointManifest) -> bool:
    """Whether the complete checkpoint in this folder has exactly the same files."""
    return (folder / MANIFEST_NAME).read_bytes() == manifest.encode()


def writing_error(path: Path, needed_bytes: int, problem: OSError) -> CheckpointError:
    """The error for a checkpoint that could not be written."""
    found = f"cannot write {path}: {problem.strerror or problem} ({needed_bytes:,} bytes needed"
    with contextlib.suppress(OSError):  # fails if the folder cannot be reached, which `problem` then says
        found += f", {shutil.disk_usage(path.parent).free:,} free"
    if problem.errno in _NO_SPACE:
        fix = "free space or quota there, lower checkpoint.keep, or choose another run.directory"
    else:
        fix = "make the folder writable, or choose another run.directory"
    return CheckpointError(f"{found}), but all older checkpoints are complete", fix=fix)
