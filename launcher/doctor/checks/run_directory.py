"""Can the run directory be written, and does its file system keep what checkpoints rely on?

Tried for real, in a folder of a temporary name that goes again: names that replace names, folders and links that are
renamed, data that is synced, and a lock that another process respects.
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
from mms_dist.checkpoint.files import replace_symlink, sync_directory, unique, write_synced
from mms_dist.checkpoint.lock import RunLock
from mms_dist.errors import CheckpointError

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
    """Tries everything, and goes on after what fails. Tells the subject whether anything can be written there."""
    if context.config is None:
        notes.skip("where it is to be is not known without the configuration")
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
            f"{directory} cannot be written: {error.strerror or error}",
            "make it writable, free space or quota there, or choose another run.directory",
        )
        return
    context.directory_is_writable = True
    if not notes.of("failed"):
        notes.ok(f"{directory} can be written; renames, syncs and locks work there")


_NAMES = {
    "_files": "replacing a file",
    "_folders": "renaming a folder",
    "_links": "replacing a link",
    "_lock": "locking a file (flock)",
    "_clock": "asking for a file's time",
}


@contextlib.contextmanager
def trial_folder(directory: Path) -> Iterator[Path]:
    """A folder to try things in: in the run directory, or where that would be made.

    Raises:
        OSError: it cannot be made.
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
    """Whether another process is refused the lock of a file that this one holds.

    Raises:
        OSError: it cannot ask for it.
    """
    command = [sys.executable, "-c", _TRY_LOCK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, _REFUSED):
        raise OSError((result.stderr.strip().splitlines() or ["without a word"])[-1])
    return result.returncode == _REFUSED


def _files(folder: Path, notes: Notes) -> None:
    write_synced(folder / "old", b"old")
    write_synced(folder / "new", b"new")
    os.replace(folder / "new", folder / "old")
    sync_directory(folder)
    if (folder / "old").read_bytes() != b"new" or (folder / "new").exists():
        notes.fail(f"{folder.parent}: a file renamed over another does not take its place", ELSEWHERE)


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
        notes.fail(f"{folder.parent}: a link renamed over another does not take its place", ELSEWHERE)


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
            f"{folder.parent}: a file that one process has locked (flock) can be locked by another, so two runs could "
            "write one directory",
            f"mount it with file locks (Lustre: -o flock), or {ELSEWHERE}",
        )


def _clock(folder: Path, notes: Notes) -> None:
    before = time.time()
    write_synced(folder / "now", b"")
    ahead = (folder / "now").stat().st_mtime - before
    if abs(ahead) > CLOCK_SECONDS:
        notes.warn(
            f"the clock of {folder.parent}'s file server is {abs(ahead):,.0f} s {'ahead' if ahead > 0 else 'behind'}",
            "synchronise the clocks (chronyd, ntpd): ages and curves are told by them",
        )
