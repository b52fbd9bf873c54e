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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, count_failures, failed, failed_with, not_checked, ok, warning
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


def check(context: Context) -> Findings:
    """Try every operation, even after a failure, and store in the context whether the directory is writable."""
    if context.config is None:
        yield not_checked("needs the configuration, which names the run directory")
        return
    directory = Path(context.config.run.directory)
    failures = 0
    try:
        with trial_folder(directory) as folder:
            for name, trial in _TRIALS.items():
                try:
                    failures += yield from count_failures(trial(folder))
                except OSError as error:
                    failures += 1
                    yield failed(f"{directory}: {name} fails: {error.strerror or error}", ELSEWHERE)
    except OSError as error:
        yield failed(
            f"cannot write to {directory}: {error.strerror or error}",
            "make it writable, free space or quota there, or choose another run.directory",
        )
        return
    context.directory_is_writable = True
    if not failures:
        yield ok(f"{directory} is writable; renames, syncs and locks work there")


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


def _files(folder: Path) -> Findings:
    write_synced(folder / "old", b"old")
    write_synced(folder / "new", b"new")
    os.replace(folder / "new", folder / "old")
    sync_directory(folder)
    if (folder / "old").read_bytes() != b"new" or (folder / "new").exists():
        yield failed(f"{folder.parent}: renaming a file over another does not replace it", ELSEWHERE)


def _folders(folder: Path) -> Findings:
    (folder / "staging").mkdir()
    write_synced(folder / "staging" / "part", b"part")
    sync_directory(folder / "staging")
    os.rename(folder / "staging", folder / "final")
    sync_directory(folder)
    if not (folder / "final" / "part").is_file() or (folder / "staging").exists():
        yield failed(f"{folder.parent}: a renamed folder does not keep its files", ELSEWHERE)


def _links(folder: Path) -> Findings:
    for target in ("first", "second"):
        replace_symlink(folder / "last", target)
    if os.readlink(folder / "last") != "second":
        yield failed(f"{folder.parent}: renaming a link over another does not replace it", ELSEWHERE)


def _lock(folder: Path) -> Findings:
    lock = RunLock(folder)
    try:
        with lock:
            respected = is_locked_for_others(lock.path)
    except CheckpointError as error:
        yield failed_with(error)
        return
    if not respected:
        yield failed(
            f"{folder.parent}: another process can lock a file that is already locked (flock), so two runs could write "
            "to the same directory",
            f"mount it with file locks (Lustre: -o flock), or {ELSEWHERE}",
        )


def _clock(folder: Path) -> Findings:
    before = time.time()
    write_synced(folder / "now", b"")
    ahead = (folder / "now").stat().st_mtime - before
    if abs(ahead) > CLOCK_SECONDS:
        yield warning(
            f"the clock of {folder.parent}'s file server is {abs(ahead):,.0f} s {'ahead' if ahead > 0 else 'behind'}",
            "synchronise the clocks (chronyd, ntpd): ages and curves depend on them",
        )


_TRIALS: Mapping[str, Callable[[Path], Findings]] = {
    "replacing a file": _files,
    "renaming a folder": _folders,
    "replacing a link": _links,
    "locking a file (flock)": _lock,
    "reading a file's time": _clock,
}
