"""Measure how fast a run's last attempt goes, from the figures it writes to `RUN/tensorboard/system/`.

The event log has languages; only these files have rounds. Every round is one record, on disk within seconds.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mms_dist.files import read_file
from mms_dist.monitor.tensorboard import SYSTEM
from mms_dist.monitor.throughput import FEWEST_ROUNDS, WINDOW_SECONDS

EVENT_FILES = "events.out.tfevents.*"
_LENGTH, _SUMS = struct.Struct("<Q"), 4
"""A TFRecord: the length of its bytes, a checksum of that, the bytes, and a checksum of these."""
_FIGURES = {"round_seconds", "active_languages", "audio_seconds_per_second", "memory_gib"}
_LATEST = 2**37  # seconds since 1970: the year 6325


@dataclass(frozen=True, slots=True)
class Pace:
    """An attempt from its first round to its last. Speeds cover the last minute, and at least eight rounds."""

    round: int
    last: datetime
    rounds: int  # in this attempt
    steps: int  # of all languages together, in this attempt
    steps_per_second: float | None  # of all languages, evaluation and saving included; None after a single round
    audio_seconds_per_second: float
    round_seconds: float
    longest_round_seconds: float  # in the whole attempt, evaluation and saving included
    longest_save_seconds: float  # to write a checkpoint of every active language to disk
    memory_gib: float


@dataclass(frozen=True, slots=True)
class _RoundRecord:
    """The figures of one round."""

    round: int
    at_seconds: float
    figures: dict[str, float]

    @property
    def seconds(self) -> float:
        return self.figures["round_seconds"]

    @property
    def steps(self) -> int:
        return round(self.figures["active_languages"])


def read_pace(run_directory: str | os.PathLike[str], *, since: datetime | None = None) -> Pace | None:
    """Return the pace of the last attempt; None if it has no rounds yet, or none after `since` (its start).

    A torn record at the end, from a round that is being written, is skipped.
    """
    files = sorted((Path(run_directory) / "tensorboard" / SYSTEM).glob(EVENT_FILES))
    if not files:
        return None
    rounds = list(_read_rounds(files[-1]))  # the names start with the time, so the last file is the newest
    if not rounds or (since is not None and rounds[0].at_seconds < since.timestamp()):
        return None
    return _pace(rounds)


def _pace(rounds: Sequence[_RoundRecord]) -> Pace:
    last = rounds[-1]
    recent = list(rounds[-FEWEST_ROUNDS:])
    for each in reversed(rounds[:-FEWEST_ROUNDS]):
        if each.at_seconds < last.at_seconds - WINDOW_SECONDS:
            break
        recent.insert(0, each)
    seconds, wall = sum(each.seconds for each in recent), last.at_seconds - recent[0].at_seconds
    audio = sum(each.figures["audio_seconds_per_second"] * each.seconds for each in recent if each.seconds > 0)
    return Pace(
        round=last.round,
        last=datetime.fromtimestamp(last.at_seconds, UTC),
        rounds=len(rounds),
        steps=sum(each.steps for each in rounds),
        steps_per_second=sum(each.steps for each in recent[1:]) / wall if wall > 0 else None,
        audio_seconds_per_second=audio / seconds if seconds > 0 else 0.0,
        round_seconds=seconds / len(recent),
        longest_round_seconds=max(each.seconds for each in rounds),
        longest_save_seconds=max(each.figures.get("save_all_seconds", 0.0) for each in rounds),
        memory_gib=last.figures["memory_gib"],
    )


def _read_rounds(path: Path) -> Iterator[_RoundRecord]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event

    prefix = f"{SYSTEM}/"
    try:
        data = read_file(path)
    except OSError:  # the file was deleted, or belongs to another user: the pace is useful but not needed
        return
    for record in _records(data):
        try:
            event = Event.FromString(record)
        except DecodeError:
            return  # damaged: the start of the next record is unknown
        values = {value.tag.removeprefix(prefix): value.simple_value for value in event.summary.value}
        if values.keys() >= _FIGURES and _is_plausible(event.step, event.wall_time, values):
            yield _RoundRecord(event.step, event.wall_time, values)


def _is_plausible(step: int, at_seconds: float, figures: dict[str, float]) -> bool:
    return step >= 0 and 0 <= at_seconds < _LATEST and all(0 <= figures[name] < 1e15 for name in _FIGURES)


def _records(data: bytes) -> Iterator[bytes]:
    """Yield whole records. Checksums are not verified: in Python that would take most of the time."""
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        begin = place + _LENGTH.size + _SUMS
        place = begin + length + _SUMS
        if place <= len(data):
            yield data[begin : begin + length]
