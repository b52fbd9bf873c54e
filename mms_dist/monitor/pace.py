"""How fast a run's last attempt goes, read back from the figures that it draws into `RUN/tensorboard/system/`.

The event log tells of languages; rounds are only here. Every round is one record, on the disk within seconds.
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
_LATEST = 2**37  # seconds, in the year 6325


@dataclass(frozen=True, slots=True)
class Pace:
    """An attempt from its first round to its last; speeds are of the last minute, and of eight rounds at least."""

    round: int
    last: datetime
    rounds: int  # of this attempt
    steps: int  # that all languages together took in it
    steps_per_second: float | None  # of all languages; counts evaluations and saving. None before it can be told
    audio_seconds_per_second: float
    round_seconds: float
    longest_round_seconds: float  # of the whole attempt, evaluation and saving included
    longest_save_seconds: float  # of a checkpoint of every active language, until it is on the disk
    memory_gib: float


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One round as it was drawn."""

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
    """The pace of the attempt that drew last; None if no round was drawn, or none since `since` (when it began).

    A torn record at the end, of a round that is being written, is passed over.
    """
    files = sorted((Path(run_directory) / "tensorboard" / SYSTEM).glob(EVENT_FILES))
    if not files:
        return None
    drawn = list(_drawn(files[-1]))  # their names begin with the time
    if not drawn or (since is not None and drawn[0].at_seconds < since.timestamp()):
        return None
    return _pace(drawn)


def _pace(drawn: Sequence[_Drawn]) -> Pace:
    last = drawn[-1]
    recent = list(drawn[-FEWEST_ROUNDS:])
    for each in reversed(drawn[:-FEWEST_ROUNDS]):
        if each.at_seconds < last.at_seconds - WINDOW_SECONDS:
            break
        recent.insert(0, each)
    seconds, wall = sum(each.seconds for each in recent), last.at_seconds - recent[0].at_seconds
    audio = sum(each.figures["audio_seconds_per_second"] * each.seconds for each in recent if each.seconds > 0)
    return Pace(
        round=last.round,
        last=datetime.fromtimestamp(last.at_seconds, UTC),
        rounds=len(drawn),
        steps=sum(each.steps for each in drawn),
        steps_per_second=sum(each.steps for each in recent[1:]) / wall if wall > 0 else None,
        audio_seconds_per_second=audio / seconds if seconds > 0 else 0.0,
        round_seconds=seconds / len(recent),
        longest_round_seconds=max(each.seconds for each in drawn),
        longest_save_seconds=max(each.figures.get("save_all_seconds", 0.0) for each in drawn),
        memory_gib=last.figures["memory_gib"],
    )


def _drawn(path: Path) -> Iterator[_Drawn]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event

    prefix = f"{SYSTEM}/"
    try:
        data = read_file(path)
    except OSError:  # it has gone since it was listed, or is another's: what it tells is of use, and not needed
        return
    for record in _records(data):
        try:
            event = Event.FromString(record)
        except DecodeError:
            return  # damaged: where the next record begins is not known
        values = {value.tag.removeprefix(prefix): value.simple_value for value in event.summary.value}
        if values.keys() >= _FIGURES and _is_plausible(event.step, event.wall_time, values):
            yield _Drawn(event.step, event.wall_time, values)


def _is_plausible(step: int, at_seconds: float, figures: dict[str, float]) -> bool:
    return step >= 0 and 0 <= at_seconds < _LATEST and all(0 <= figures[name] < 1e15 for name in _FIGURES)


def _records(data: bytes) -> Iterator[bytes]:
    """Whole records. Their checksums are left alone: in Python they would take most of the time."""
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        begin = place + _LENGTH.size + _SUMS
        place = begin + length + _SUMS
        if place <= len(data):
            yield data[begin : begin + length]
