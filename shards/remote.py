"""Files on the remote file systems that fsspec opens: `s3://`, `https://` ...

The file systems repeat what fails for a moment (a lost connection, a server that asks for fewer requests): for `s3://`,
s3fs and botocore do, as AWS_MAX_ATTEMPTS and AWS_RETRY_MODE say. What is raised here is what remained.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from shards.errors import Problem, StorageError

# Requests wait for the server, not for a processor.
_REQUESTS_AT_ONCE = 16

Item = TypeVar("Item")
Result = TypeVar("Result")
Action = Literal["read", "written"]


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path of the URL in it.

    Raises:
        StorageError: no installed package opens such URLs.
    """
    import fsspec.core

    try:
        # Another process may write there at any time, so no listing is kept.
        return fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        if isinstance(error, ImportError) and url.startswith(("s3://", "s3a://")):
            raise StorageError(
                f"{url} needs the package s3fs, which is not installed", fix="pip install 'mms-dist[s3]'"
            ) from error
        raise StorageError(f"{url} cannot be opened: {error}") from error


@contextmanager
def remote_errors(url: str, action: Action = "read") -> Iterator[None]:
    """Convert a remote file system's exceptions to StorageError, except FileNotFoundError while reading."""
    try:
        yield
    except StorageError:
        raise
    # fsspec's file systems have exceptions of their own, without a common base class.
    except Exception as error:
        if isinstance(error, FileNotFoundError) and action == "read":
            raise
        problem = _problem_of(error, url, action)
        raise StorageError(f"{url} cannot be {action}: {problem.found}", problem.fix) from error


def upload(path: Path, url: str) -> None:
    """Copy a local file to `url`, where it appears when it is whole.

    Raises:
        StorageError: it cannot be written.
    """
    system, remote = file_system(url)
    with remote_errors(url, "written"):
        system.put_file(os.fspath(path), remote)


def write_bytes(url: str, data: bytes) -> None:
    """Write a file, which appears when it is whole. Raises as `upload`."""
    system, remote = file_system(url)
    with remote_errors(url, "written"):
        system.pipe_file(remote, data)


def copy(source: str, target: str) -> None:
    """Copy a file within one file system, without fetching it if the server can do that. Raises as `upload`."""
    system, remote = file_system(target)
    with remote_errors(target, "written"):
        system.cp_file(file_system(source)[1], remote)


def remove(urls: Iterable[str]) -> None:
    """Remove files; those that do not exist are no error. Raises as `upload`."""
    each(_remove_one, list(urls))


def list_files(folder: str) -> dict[str, int]:
    """Return the length of every file below a folder, by its path from there; empty if there is no such folder.

    Raises:
        StorageError: it cannot be listed.
    """
    system, remote = file_system(folder)
    found: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError), remote_errors(folder):
        found = system.find(remote, detail=True)
    start = remote.rstrip("/") + "/"
    sizes = {str(name).removeprefix(start): int(entry["size"] or 0) for name, entry in found.items()}
    # Some tools store an empty file for the folder itself.
    return {name: size for name, size in sorted(sizes.items()) if name and not name.endswith("/")}


def list_names(folder: str) -> list[str]:
    """Return the names of what is directly in a folder; empty if there is no such folder. Raises as `list_files`."""
    system, remote = file_system(folder)
    with contextlib.suppress(FileNotFoundError), remote_errors(folder):
        return [str(name).rstrip("/").rpartition("/")[2] for name in system.ls(remote, detail=False)]
    return []


def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Like `map`, with several requests at a time. Raises what the first failing item raises."""
    items = list(items)
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(_REQUESTS_AT_ONCE, len(items)), thread_name_prefix="remote") as pool:
        return list(pool.map(function, items))


def _remove_one(url: str) -> None:
    system, remote = file_system(url)
    with contextlib.suppress(FileNotFoundError), remote_errors(url):
        system.rm_file(remote)


_NO_CREDENTIALS = {
    "CredentialRetrievalError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "SSOError",
    "TokenRetrievalError",
}
_NO_PROFILE = {"ProfileNotFound", "ConfigParseError"}
_NO_CONNECTION = {"ClientConnectionError", "ClientPayloadError", "ConnectionError", "HTTPClientError", "TimeoutError"}


def _problem_of(error: Exception, url: str, action: Action) -> Problem:
    """Return what happened, and the fix if it can be told."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    found = f"{type(error).__name__}: {error}"
    s3 = url.startswith(("s3://", "s3a://"))
    again = "run the same command again" + (" (finished shards are kept)" if action == "written" else "")
    if kinds & _NO_CREDENTIALS:
        return Problem(
            f"there are no usable credentials ({error})",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile of ~/.aws",
        )
    if kinds & _NO_PROFILE:
        return Problem(found, "correct AWS_PROFILE, or the files in ~/.aws")
    if isinstance(error, PermissionError):
        may = "read and list" if action == "read" else "read, list, write and delete in"
        who = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" if s3 else "the credentials"
        return Problem(f"the server refuses access ({error})", f"check {who}, and that they may {may} that place")
    if isinstance(error, FileNotFoundError):
        place = f"the bucket {urlsplit(url).netloc}" if s3 else urlsplit(url).netloc
        return Problem(f"there is no such place ({error})", f"create {place}, or correct the URL")
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return Problem(
            f"the server asks for fewer requests, also after several attempts ({error.strerror})",
            f"{again} later or with fewer jobs at a time" + (", or raise AWS_MAX_ATTEMPTS" if s3 else ""),
        )
    if kinds & _NO_CONNECTION:
        where = f", and AWS_ENDPOINT_URL ({os.environ.get('AWS_ENDPOINT_URL', 'not set')})" if s3 else ""
        return Problem(f"the connection failed ({found})", f"check the network{where}, and {again}")
    return Problem(found, again if action == "written" else None)
