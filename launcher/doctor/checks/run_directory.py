"""Check that the run directory is writable and its file system supports what checkpoints need.

Everything is tried in a temporary folder, which is removed afterwards: files that replace files, renamed folders and
links, synced data, and a lock that another process respects.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.errors import CheckpointError
from mms_dist.files import replace_symlink, sync_directory, unique, write_synced
from mms_dist.run_directory.lock import RunLock

ELSEWHERE = "put run.directory on another file system"
CLOCK_SECONDS = 5.0
_TRY_LOCK = """
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(3)
"""
_REFUSED = 3


def look(context: Context, notes: Notes) -> None:
    """Try every operation, even after a failure, and store in the context whether the directory is writable."""
    if context.config is None:
        notes.skip("needs the configuration, which names the run directory")
        return
    directory = Path(context.config.run.directory)
    try:
        with trial_folder(directory) as folder:
            for trial in (_files, _folders, _links, _lock, _clock):
                try:
                    trial(folder, notes)
                except OSError as error:
                    notes.fail(f"{directory}: {_NAMES[trial.__name__]} fails: {error.strerror or error}", ELSEWHERE)
    except OSError as error:
        notes.fail(
            f"cannot write to {directory}: {error.strerror or error}",
            "make it writable, free space or quota there, or choose another run.directory",
        )
        return
    context.directory_is_writable = True
    if not notes.of("failed"):
        notes.ok(f"{directory} is writable; renames, syncs and locks work there")


_NAMES = {
    "_files": "replacing a file",
    "_folders": "renaming a folder",
    "_links": "replacing a link",
    "_lock": "locking a file (flock)",
    "_clock": "reading a file's time",
}


@contextlib.contextmanager
def trial_folder(directory: Path) -> Iterator[Path]:
    """Create a temporary folder in the run directory, or in its closest existing parent.

    Raises:
        OSError: the folder cannot be created.
    """
    place = directory.absolute()
    while not os.path.lexists(place):
        place = place.parent
    folder = place / unique(".mms-dist-doctor")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_locked_for_others(path: Path) -> bool:
    """Return whether another process fails to lock a file that this process has locked.

    Raises:
        OSError: the other process cannot try.
    """
    command = [sys.executable, "-c", _TRY_LOCK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, _REFUSED):
        raise OSError((result.stderr.strip().splitlines() or ["no error message"])[-1])
    return result.returncode == _REFUSED


def _files(folder: Path, notes: Notes) -> None:
    write_synced(folder / "old", b"old")
    write_synced(folder / "new", b"new")
    os.replace(folder / "new", folder / "old")
    sync_directory(folder)
    if (folder / "old").read_bytes() != b"new" or (folder / "new").exists():
        notes.fail(f"{folder.parent}: renaming a file over another does not replace it", ELSEWHERE)


def _folders(folder: Path, notes: Notes) -> None:
    (folder / "staging").mkdir()
    write_synced(folder / "staging" / "part", b"part")
    sync_directory(folder / "staging")
    os.rename(folder / "staging", folder / "final")
    sync_directory(folder)
    if not (folder / "final" / "part").is_file() or (folder / "staging").exists():
        notes.fail(f"{folder.parent}: a renamed folder does not keep its files", ELSEWHERE)


def _links(folder: Path, notes: Notes) -> None:
    for target in ("first", "second"):
        replace_symlink(folder / "last", target)
    if os.readlink(folder / "last") != "second":
        notes.fail(f"{folder.parent}: renaming a link over another does not replace it", ELSEWHERE)


def _lock(folder: Path, notes: Notes) -> None:
    lock = RunLock(folder)
    try:
        with lock:
            respected = is_locked_for_others(lock.path)
    except CheckpointError as error:
        notes.error(error)
        return
    if not respected:
        notes.fail(
            f"{folder.parent}: another process can lock a file that is already locked (flock), so two runs could write "
            "to the same directory",
            f"mount it with file locks (Lustre: -o flock), or {ELSEWHERE}",
        )


def _clock(folder: Path, notes: Notes) -> None:
    before = time.time()
    write_synced(folder / "now", b"")
    ahead = (folder / "now").stat().st_mtime - before
    if abs(ahead) > CLOCK_SECONDS:
        notes.warn(
            f"the clock of {folder.parent}'s file server is {abs(ahead):,.0f} s {'ahead' if ahead > 0 else 'behind'}",
            "synchronise the clocks (chronyd, ntpd): ages and curves depend on them",
        )
