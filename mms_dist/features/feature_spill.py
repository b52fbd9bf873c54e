"""Front-end features that do not fit in memory, in files on a node-local disk.

Each language has one unnamed temporary file. Its space is freed when the language is removed or the process ends, even
if it is killed, and features of another run or base can never be read. Files are read instead of mapped, so that a disk
failure raises an error and does not kill the process.

Legend: T frames, C front-end channels.
"""

import os
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mms_dist.data.batch import FeatureKey
from mms_dist.errors import ConfigError
from mms_dist.model.transfer import Arrival

SPILL_BYTES = 160 << 20
"""Memory for features waiting to be written; while it is full, further features are not spilled in this epoch."""
_WAITING_SHARE = 0.8
"""Share of that memory for waiting features; the rest is lost in slabs that are partly filled or partly written."""
_SLABS = 10


@dataclass(frozen=True)
class _Place:
    start: int
    shape_TC: torch.Size
    dtype: torch.dtype


@dataclass(frozen=True)
class _Waiting:
    key: FeatureKey
    features_TC: Tensor
    arrival: Arrival


class FeatureSpill:
    """Stores features on a disk by `FeatureKey`.

    A disk error ends spilling: `on_notice` is called with the reason, and features from the disk are computed again.
    """

    def __init__(self, directory: Path, *, on_notice: Callable[[str], None], memory_bytes: int = SPILL_BYTES) -> None:
        """
        Args:
            on_notice: called with the reason when spilling ends.
            memory_bytes: host memory for features waiting to be written.

        Raises:
            ConfigError: no file can be created in the folder.
        """
        self.slab_bytes = memory_bytes // _SLABS
        """Memory to allocate at a time for waiting features, which are written in order of arrival."""
        self._most_waiting_bytes = int(_WAITING_SHARE * memory_bytes)
        self._directory = directory
        self._on_notice = on_notice
        self._lock = Lock()
        """Held only briefly, because the main thread takes it during a pass."""
        self._disk_lock = RLock()
        """Held during disk operations."""
        self._files: dict[str, BinaryIO] = {}
        self._places: dict[FeatureKey, _Place] = {}
        self._expected: dict[FeatureKey, int] = {}
        self._waiting: deque[_Waiting] = deque()
        self._coming_bytes = 0
        """Bytes of expected and waiting features together."""
        self._failed = False
        try:
            directory.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=directory).close()
        except OSError as error:
            raise ConfigError(
                f"model.feature_spill_directory: no file can be created in {directory}: {error.strerror}",
                fix="name a folder on a disk of this machine, or leave it out",
            ) from error

    def expect(self, key: FeatureKey, size_bytes: int) -> bool:
        """Reserve space for features that will be computed; return whether there is any."""
        with self._lock:
            if self._failed or self._coming_bytes + size_bytes > self._most_waiting_bytes:
                return False
            self._expected[key] = size_bytes
            self._coming_bytes += size_bytes
            return True

    def withdraw(self, key: FeatureKey) -> None:
        """Cancel a reservation, because there is no memory for the features."""
        with self._lock:
            self._coming_bytes -= self._expected.pop(key, 0)

    def expects(self, key: FeatureKey) -> bool:
        with self._lock:
            return key in self._expected

    def write_later(self, key: FeatureKey, features_TC: Tensor, arrival: Arrival) -> None:
        """Queue features to be written by `write_behind` once they have arrived from the device."""
        with self._lock:
            self._expected.pop(key, None)
            self._waiting.append(_Waiting(key, features_TC, arrival))

    def write_behind(self) -> None:
        """Write the features that have arrived; leave the others for the next call."""
        while (waiting := self._next_to_write()) is not None:
            with self._disk_lock:
                if not self._failed:
                    self._write(waiting.key, waiting.features_TC)

    def read(self, key: FeatureKey) -> Tensor | None:
        """Read features [T, C]; None if they are not on the disk."""
        with self._disk_lock:
            place = self._places.get(key)
            if place is None:
                return None
            features_TC = torch.empty(place.shape_TC, dtype=place.dtype)
            view = _bytes_of(features_TC)
            try:
                if os.preadv(self._files[key.utterance.language].fileno(), [view], place.start) == len(view):
                    return features_TC
                self._fail("a file was truncated")
            except OSError as error:
                self._fail(error.strerror)
            return None

    def forget(self, language: str) -> None:
        """Free the space of a language that is no longer active."""
        with self._lock:
            self._expected = {key: size for key, size in self._expected.items() if key.utterance.language != language}
            self._waiting = deque(each for each in self._waiting if each.key.utterance.language != language)
            self._coming_bytes = sum(self._expected.values()) + sum(each.features_TC.nbytes for each in self._waiting)
        with self._disk_lock:
            self._places = {key: place for key, place in self._places.items() if key.utterance.language != language}
            if language in self._files:
                self._files.pop(language).close()

    def close(self) -> None:
        """Free all space."""
        with self._lock:
            self._waiting.clear()
        with self._disk_lock:
            self._places.clear()
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _next_to_write(self) -> _Waiting | None:
        with self._lock:
            if not self._waiting or not self._waiting[0].arrival.is_over:
                return None
            self._coming_bytes -= self._waiting[0].features_TC.nbytes
            return self._waiting.popleft()

    def _write(self, key: FeatureKey, features_TC: Tensor) -> None:
        try:
            file = self._file(key.utterance.language)
            start = os.lseek(file.fileno(), 0, os.SEEK_END)
            view = _bytes_of(features_TC)
            if os.pwrite(file.fileno(), view, start) != len(view):
                self._fail("no space left on the device")
                return
        except OSError as error:
            self._fail(error.strerror)
            return
        self._places[key] = _Place(start, features_TC.shape, features_TC.dtype)

    def _file(self, language: str) -> BinaryIO:
        if language not in self._files:
            self._files[language] = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        return self._files[language]

    def _fail(self, reason: str | None) -> None:
        """Stop writing and reading, and report why."""
        self._failed = True
        self.close()
        self._on_notice(
            f"model.feature_spill_directory: {self._directory}: {reason}; front-end features are no longer written "
            "there, and those that do not fit in memory are computed again in every epoch"
        )


def _bytes_of(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous host tensor."""
    array: Any = tensor.view(torch.uint8).numpy()
    return memoryview(array).cast("B")
