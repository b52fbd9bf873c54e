"""Cache remote shards on a node's local disk: size-limited, least recently used first out, shared by processes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO

from shards import storage
from shards.errors import StorageError, TruncatedShardError
from shards.file_lock import FileLock, is_locked
from shards.index.sample_table import ShardInfo

_PARTIAL = ".partial"
_LOCKS = "locks"


class ShardCache:
    """A folder of downloaded shards of at most `capacity_bytes` in total.

    Only concurrent downloads by several processes may exceed that. The processes of a node may share one folder: each
    shard is downloaded once, under its lock, to a partial file that is renamed once its SHA-256 is verified. A rebuilt
    shard has another checksum and therefore another name here.
    """

    def __init__(self, directory: str | Path, capacity_bytes: int) -> None:
        self.directory = Path(directory)
        self.capacity_bytes = capacity_bytes
        try:
            (self.directory / _LOCKS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the shard cache {directory} cannot be created: {error.strerror}",
                fix="set data.cache_directory to another folder",
            ) from error

    @classmethod
    def in_temporary_folder(cls, capacity_bytes: int = 50 << 30) -> ShardCache:
        """Return this user's cache in the node's temporary folder (`TMPDIR`)."""
        return cls(Path(tempfile.gettempdir()) / f"mms-dist-shards-{os.getuid()}", capacity_bytes)

    def open(self, url: str, shard: ShardInfo) -> int:
        """Return a file descriptor of the shard's local copy, open for reading. The caller closes it.

        Raises:
            StorageError: the shard cannot be fetched, is larger than the cache, or does not match the index.
            TruncatedShardError: the shard is missing or does not have the length that the index says.
        """
        path = self.directory / f"{shard.sha256[:32]}-{shard.bytes}.tar"
        descriptor = _open_whole(path, shard.bytes)
        if descriptor is None:
            with FileLock(self.directory / _LOCKS / f"{path.name}.lock"):
                descriptor = _open_whole(path, shard.bytes)
                if descriptor is None:
                    self._download(url, shard, path)
                    descriptor = os.open(path, os.O_RDONLY)
        os.utime(descriptor)
        return descriptor

    def _download(self, url: str, shard: ShardInfo, path: Path) -> None:
        if shard.bytes > self.capacity_bytes:
            raise StorageError(
                f"shard {url} has {shard.bytes:,} bytes, but the shard cache {self.directory} holds only "
                f"{self.capacity_bytes:,}",
                fix="raise data.cache_gib",
            )
        partial = path.with_suffix(_PARTIAL)
        try:
            # Free and reserve space under one lock, so that two downloads do not claim the same bytes.
            with FileLock(self.directory / _LOCKS / "room.lock"):
                partial.unlink(missing_ok=True)
                self._make_room(shard.bytes)
                with open(partial, "wb") as reserved:
                    reserved.truncate(shard.bytes)
            with open(partial, "r+b") as stream:
                target = _CheckedStream(stream, limit_bytes=shard.bytes)
                storage.copy_to(url, target)  # type: ignore[arg-type]
                if target.written_bytes != shard.bytes:
                    raise _wrong_length(url, shard, target.written_bytes)
                if target.sha256.hexdigest() != shard.sha256:
                    raise StorageError(
                        f"shard {url} does not have the SHA-256 in its index",
                        fix=(
                            "fetch index.json and samples.parquet of its folder again, or the shard itself (check with "
                            "'mms-dist shards verify')"
                        ),
                    )
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        except FileNotFoundError as error:
            raise _wrong_length(url, shard, None) from error
        except OSError as error:
            raise StorageError(
                f"shard {url} cannot be stored in the shard cache {self.directory}: {error.strerror}",
                fix="set data.cache_directory to a disk with free space, or lower data.cache_gib",
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self, needed_bytes: int) -> None:
        """Remove least recently used shards until `needed_bytes` fit. Shards that are open stay readable."""
        kept = []
        for entry in os.scandir(self.directory):
            if entry.is_file():
                status = entry.stat()
                kept.append((entry.name.endswith(_PARTIAL), status.st_mtime_ns, status.st_size, entry.path))
        excess = sum(size for _, _, size, _ in kept) + needed_bytes - self.capacity_bytes
        for partial, _, size, name in sorted(kept):
            if excess <= 0:
                return
            if partial and not _is_abandoned(Path(name), self.directory / _LOCKS):
                continue
            os.unlink(name)
            excess -= size


class _CheckedStream:
    """Counts and hashes the bytes written, and discards those beyond the limit."""

    def __init__(self, stream: IO[bytes], *, limit_bytes: int) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self.written_bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        self.written_bytes += len(chunk)
        if self.written_bytes <= self._limit_bytes:
            self.sha256.update(chunk)
            self._stream.write(chunk)
        return len(chunk)


def _open_whole(path: Path, expected_bytes: int) -> int | None:
    """Open a cached file of the expected length; None if it is missing. A file of another length is removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if os.fstat(descriptor).st_size == expected_bytes:
        return descriptor
    os.close(descriptor)
    path.unlink(missing_ok=True)
    return None


def _is_abandoned(partial: Path, locks: Path) -> bool:
    """Whether the process that was downloading `partial` is gone, which is so if its lock is free."""
    return not is_locked(locks / f"{partial.with_suffix('.tar').name}.lock")


def _wrong_length(url: str, shard: ShardInfo, found: int | None) -> TruncatedShardError:
    return TruncatedShardError(
        url, bytes_found=found, bytes_expected=shard.bytes, fix="copy it there again, or rebuild it"
    )
