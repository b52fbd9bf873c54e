"""`RUN/events.jsonl`: the events of a run, one JSON object per line, for people, `jq` and `mms-dist report`.

Every line has `time` (UTC, ISO 8601) and `kind`; `round` and `language` where they apply; then the fields of that
kind. Numbers that JSON cannot hold are the strings "nan", "inf" and "-inf". The file only grows: a resumed run
appends to it. A line is one `write` in append mode, so a killed run leaves at most one torn line, at the end. Readers
skip it and the next writer removes it.
"""

import json
import math
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mms_dist.errors import TrainingError
from mms_dist.files import read_file

# kind -> its fields besides time, round and language: what the event means
KINDS = {
    "run_started": "languages",
    "run_resumed": "languages",
    "admitted": "step, steps, utterances, audio_seconds: a language got a slot",
    "evaluated": "step, cer, wer, utterances, best: scored on its dev split; step 0 is before training",
    "checkpoint_saved": "step, best: the checkpoint is on disk; best: it has the lowest dev CER so far",
    "finished": "step, reason: steps | early_stop | target",
    "quarantined": "step, reason: the language stopped, the others continue",
    "damaged_sample": "key, split, row, shard, reason: an utterance was left out",
    "checkpoint_damaged": "path, reason: a damaged checkpoint was skipped",
    "data_changed": "step: the training data or batches differ from those of the checkpoint; a new epoch starts",
    "draws_changed": "what, after_step by language: later random draws differ from the version that started the run",
    "features_not_spilled": "reason: the disk for front-end features failed; training continues without it",
    "memory_not_pinned": "reason: there was not enough page-locked memory; training continues more slowly",
    "reopened": "step, steps: the language had finished, and the configuration now gives it more steps",
    "preempted": "signal or reason",
    "run_failed": "reason",
    "run_incomplete": "reason: the run ended, but some languages are in quarantine or could not be scored",
    "run_finished": "seconds",
}

_COUNTS = {"round", "step", "steps", "utterances"}
_RATES = {"cer", "wer"}
_NOT_FINITE = ("nan", "inf", "-inf")


class EventLog:
    """Appends lifecycle events to one file. Several threads may write."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open `path`, create it and its folder if they are missing, and remove a torn last line.

        Raises:
            TrainingError: the file cannot be written.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            _remove_torn_line(self._descriptor)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def write(
        self, kind: str, *, round: int | None = None, language: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Append one event and return it as readers will see it.

        Raises:
            TrainingError: the disk is full, or the file is gone.
        """
        assert kind in KINDS, f"{kind!r} is not in KINDS"
        event: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
        if round is not None:
            event["round"] = round
        if language is not None:
            event["language"] = language
        event = _plain(event | fields)
        line = (json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self._lock:
            try:
                written = os.write(self._descriptor, line)
            except OSError as error:
                raise _cannot_write(self.path, error) from error
            if written != len(line):  # a full disk takes only part of the line
                _remove_torn_line(self._descriptor)
                raise _cannot_write(self.path, OSError("the disk is full"))
        return event

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_events(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a log, oldest first, without a torn last line.

    Raises:
        TrainingError: the file is missing, or a line before the last is not an event.
    """
    try:
        lines = read_file(Path(path)).split(b"\n")
    except OSError as error:
        raise TrainingError(
            f"cannot read {path}: {error.strerror}", fix="pass the event log of a run (RUN/events.jsonl)"
        ) from error
    last = len(lines)  # an intact log ends in a newline, so its last line here is empty
    for number, line in enumerate(lines, start=1):
        event = _parse(line)
        if event is not None:
            yield event
        elif number != last:
            raise TrainingError(
                f"{path}, line {number}: found {line[:60].decode(errors='replace')!r}, expected a JSON object with "
                "time, kind and the fields of that kind",
                fix="remove that line (training does not read this file)",
            )


def number(value: Any) -> float:
    """Return a number of an event as a float; the strings "nan", "inf" and "-inf" count as numbers."""
    return float(value)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and _is_event(event) else None


def _is_event(event: dict[str, Any]) -> bool:
    """Whether the fields that readers use have the types that the log writes."""
    if not isinstance(event.get("kind"), str) or not _is_time(event.get("time")):
        return False
    codes = event.get("languages", [])
    return (
        isinstance(event.get("language", ""), str)
        and isinstance(codes, list)
        and all(isinstance(code, str) for code in codes)
        and all(_is_count(event[name]) for name in _COUNTS & event.keys())
        and all(_is_rate(event[name]) for name in _RATES & event.keys())
        and _is_amount(event.get("audio_seconds", 0))
    )


def _is_time(value: Any) -> bool:
    try:
        moment = datetime.fromisoformat(value)
        return moment.tzinfo is not None and 1 < moment.year < 9999
    except (TypeError, ValueError):
        return False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_rate(value: Any) -> bool:
    """Whether this is a number, or a string for a number that JSON cannot hold."""
    return (isinstance(value, str) and value in _NOT_FINITE) or _is_amount(value)


def _is_amount(value: Any) -> bool:
    """Whether this is a number in the range of anything measured here: not negative, below 1e15."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15


def _remove_torn_line(descriptor: int) -> None:
    """Make the file end with a whole line: cut off a torn line, and complete a line that lacks only its newline."""
    size = os.fstat(descriptor).st_size
    tail = b""
    start = size
    while start > 0 and b"\n" not in tail:
        length = min(65_536, start)
        start -= length
        tail = os.pread(descriptor, length, start) + tail
    torn = tail.rpartition(b"\n")[2]
    if not torn:
        return
    if _parse(torn) is None:
        os.ftruncate(descriptor, size - len(torn))
    else:
        os.write(descriptor, b"\n")


def _plain(value: Any) -> Any:
    """Convert `value` to JSON types."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if value is None or isinstance(value, str | int | float):
        return value
    return _plain(value.item())  # a NumPy or torch scalar


def _cannot_write(path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"cannot write {path}: {error.strerror or error}",
        fix="free disk space or fix the permissions, then run the same command to resume from the last checkpoints",
    )
