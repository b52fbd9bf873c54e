"""TensorBoard's event files: how the points of one run get to disk, once, whatever happened to earlier processes."""

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mms_dist.errors import TrainingError


class EventFile:
    """One event file of a run, created at the first value; values wait in memory for `flush`.

    Args:
        directory: the run's folder.
        after: the step that the run continues after; None if it goes on where the last file ended.
    """

    def __init__(self, directory: Path, after: int | None) -> None:
        self._directory, self._after = directory, after
        self._path: Path | None = None
        self._pending = bytearray()

    def add(self, step: int, values: Sequence[Summary.Value]) -> None:
        """Queue the values of one step."""
        if self._path is None:
            self._start(step)
        self._record(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Append what waits to the file.

        Raises:
            TrainingError: the file cannot be written.
        """
        if not self._pending:
            return
        assert self._path is not None
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab") as file:
                file.write(self._pending)
        except OSError as error:
            raise TrainingError(
                f"cannot write {self._path}: {error.strerror}",
                fix=(
                    "free disk space or fix the permissions, then run the same command to resume from the last "
                    "checkpoints"
                ),
            ) from error
        self._pending.clear()

    def _start(self, step: int) -> None:
        # Readers read the files of a folder in name order.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = self._directory / name
        self._record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if any(self._directory.glob("events.out.tfevents.*")):
            # The folder has older points. All points from the first step of this stream are outdated. An evaluation
            # may be written before the steps that led to it.
            first = step if self._after is None else min(step, self._after + 1)
            session = SessionLog(status=SessionLog.START)
            self._record(Event(wall_time=time.time(), step=first, session_log=session))

    def _record(self, event: Event) -> None:
        RecordWriter(_Buffer(self._pending)).write(event.SerializeToString())


class _Buffer:
    """The part of the file interface that `RecordWriter` needs."""

    def __init__(self, buffer: bytearray) -> None:
        self.write = buffer.extend
