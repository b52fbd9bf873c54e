"""Locations of shards: local paths, `file://`, anything fsspec opens (`https://`, `s3://` ...), and `pipe:` commands.

A `pipe:` location is a shell command that writes one whole file to its standard output, as in webdataset. As a root, it
contains `{}` in place of each file's path: `pipe:ssh store cat /shards/{}`.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

from shards import remote
from shards.errors import StorageError
from shards.remote import file_system, remote_errors

Item = TypeVar("Item")
Result = TypeVar("Result")

_PIPE = "pipe:"
_CHUNK_BYTES = 1 << 20
# At least two letters, because "C:" is a drive.
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_url(place: str) -> bool:
    """Whether `place` is a URL or a pipe, and not a path."""
    return place.startswith(_PIPE) or _SCHEME.match(place) is not None


def join(root: str, *names: str) -> str:
    """Join `root` and `names`. If the last name is a URL or an absolute path, return that alone."""
    if is_url(names[-1]) or Path(names[-1]).is_absolute():
        return names[-1]
    if root.startswith(_PIPE):
        if "{}" not in root:
            raise StorageError(
                f"{root!r} must hold {{}} in place of each file's path, as in 'pipe:ssh host cat /shards/{{}}'"
            )
        return root.replace("{}", shlex.quote("/".join(names)))
    if is_url(root):
        return "/".join((root.rstrip("/"), *names))
    return str(Path(root, *names))


def local_path(place: str) -> Path | None:
    """Return the path if `place` is on this machine's file system, else None."""
    if place.startswith("file://"):
        return Path(unquote(urlsplit(place).path))
    return None if is_url(place) else Path(place)


def read_bytes(place: str) -> bytes:
    """Read a whole file. Raises as `copy_to`."""
    target = io.BytesIO()
    with local_errors(place):
        copy_to(place, target)
    return target.getvalue()


def copy_to(place: str, target: IO[bytes]) -> None:
    """Stream a whole file into `target`.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the location cannot be read, or a pipe's command fails.
    """
    path = local_path(place)
    if path is not None:
        with _local(path) as stream:
            shutil.copyfileobj(stream, target, _CHUNK_BYTES)
    elif place.startswith(_PIPE):
        with _pipe(place[len(_PIPE) :]) as stream:
            shutil.copyfileobj(stream, target, _CHUNK_BYTES)
    else:
        system, path_there = file_system(place)
        with remote_errors(place):
            source = system.open(path_there, "rb")
        with source:
            while True:
                with remote_errors(place):
                    chunk = source.read(_CHUNK_BYTES)
                if not chunk:
                    return
                target.write(chunk)


def size_bytes(place: str) -> int | None:
    """Return the length of a file; None if it is absent or unknown without reading it (a pipe, some servers)."""
    path = local_path(place)
    if path is not None:
        with local_errors(path):
            return path.stat().st_size if path.is_file() else None
    if place.startswith(_PIPE):
        return None
    system, path_there = file_system(place)
    with remote_errors(place):
        try:
            size = system.info(path_there).get("size")
        except FileNotFoundError:
            return None
    return None if size is None else int(size)


def exists(place: str) -> bool:
    """Whether the file exists."""
    path = local_path(place)
    if path is not None:
        with local_errors(path):
            return path.is_file()
    system, path_there = file_system(place)
    with remote_errors(place):
        return bool(system.exists(path_there))


def has_length(place: str, expected_bytes: int) -> tuple[bool, int | None]:
    """Return whether a file has this length, and its length (None: it is missing, or that is unknown).

    A length that cannot be queried (of a pipe, on some servers) counts as right: it is checked when the file is read.
    """
    found = size_bytes(place)
    unknown = found is None and (place.startswith(_PIPE) or exists(place))
    return unknown or found == expected_bytes, found


def each(root: str, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Like `map`, for what concerns files below `root`: several requests at a time if that is on a server."""
    one_by_one = root.startswith(_PIPE) or local_path(root) is not None
    return [function(item) for item in items] if one_by_one else remote.each(function, items)


def list_folders(root: str) -> list[str]:
    """Return the names of the folders directly below `root`, without hidden ones, sorted.

    Raises:
        StorageError: there is no such folder, or it cannot be listed.
    """
    fix = (
        "check the path (the SHARDS argument; data.shards or --data.shards in training), or create it with "
        f"'mms-dist shards build SOURCE {root}'"
    )
    path = local_path(root)
    if path is not None:
        with local_errors(path):
            if not path.is_dir():
                raise StorageError(f"no folder {root}", fix=fix)
            return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if root.startswith(_PIPE):
        raise StorageError(f"the languages in {root!r} cannot be listed", fix="name them (data.languages, or --lang)")
    system, path_there = file_system(root)
    try:
        with remote_errors(root):
            entries = system.ls(path_there, detail=True)
    except FileNotFoundError as error:
        raise StorageError(f"no folder {root}, or it cannot be listed", fix=f"{fix}, or name the languages") from error
    # HTTP servers mark a folder in a listing only by a trailing slash.
    names = (
        str(entry["name"]).rstrip("/").rpartition("/")[2]
        for entry in entries
        if entry["type"] == "directory" or str(entry["name"]).endswith("/")
    )
    return sorted({name for name in names if name and not name.startswith((".", "?"))})


def list_tars(folder: str) -> list[str]:
    """Return the names of the tars in a folder, without hidden ones, sorted.

    Raises:
        StorageError: it cannot be listed, as through a pipe.
    """
    path = local_path(folder)
    if path is not None:
        with local_errors(path):
            names = [entry.name for entry in path.iterdir()]
    elif folder.startswith(_PIPE):
        raise StorageError(f"the files in {folder!r} cannot be listed")
    else:
        names = remote.list_names(folder)
    return sorted(name for name in names if name.endswith(".tar") and not name.startswith("."))


@contextmanager
def local_errors(path: Path | str) -> Iterator[None]:
    """Convert OSError to StorageError, except FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def _local(path: Path) -> IO[bytes]:
    with local_errors(path):
        return open(path, "rb")


@contextmanager
def _pipe(command: str) -> Iterator[IO[bytes]]:
    # Pipes are shell commands. They come from the user's own configuration or command line.
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout
        process.stdout.close()
        status = process.wait()
    if status != 0:
        raise StorageError(f"the command {command!r} ended with status {status}", fix="run it by hand to see the error")
