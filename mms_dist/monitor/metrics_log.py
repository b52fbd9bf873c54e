"""`RUN/metrics.jsonl`: the progress of the whole run, one JSON object per line, for people, `jq` and `mms-dist status`.

A line is written every few seconds, at the end of a round. It is complete in itself: totals count from the last start
of the run, rates cover the last minute, and at least eight rounds. So a reader needs only the last line, and dropping
lines loses nothing but resolution. Per language there are TensorBoard's curves, and evaluations in `RUN/events.jsonl`.

A resumed run continues from checkpoints, so before its first line it removes the lines from that round on: rounds only
increase, as in TensorBoard's curves. At `MOST_LINES` the file is thinned to at most half of that, evenly over the
rounds of the run, so it has at most about 8 MB, however long the run.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mms_dist.files import read_file
from mms_dist.monitor.display_state import DisplayState
from mms_dist.monitor.json_lines import JsonLines, is_amount, is_amount_or_not_finite, is_count, is_time, parse
from mms_dist.monitor.reports import RoundReport
from mms_dist.run_directory.paths import RunPaths

EVERY_SECONDS = 5.0
MOST_LINES = 10_000
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """A line of the file: the run at the end of a round. All languages and processes together."""

    time: str
    """UTC, ISO 8601."""
    round: int
    rounds: int
    """Rounds since the last start, like the next three."""
    steps: int
    """Optimizer steps of all languages together."""
    seconds: float
    """Wall-clock time."""
    audio_seconds: float
    """Audio trained on."""
    active_languages: int
    waiting_languages: int
    finished_languages: int
    loss: float | None
    """Mean over the active languages, each averaged over its last steps."""
    cer: float | None
    """Mean of the languages' newest dev CER, as a fraction; null before the first evaluation. Likewise `wer`."""
    wer: float | None
    steps_per_second: float | None
    """Steps of all languages, evaluation and saving included; null after a single round. From here on, the last minute,
    and at least eight rounds."""
    audio_seconds_per_second: float
    round_seconds: float
    padding_fraction: float
    data_wait_fraction: float
    save_fraction: float
    device_audio_seconds_per_second: float
    loader_audio_seconds_per_second: float
    evaluation_fraction: float
    """Of the training time since the last start."""
    longest_round_seconds: float
    """Since the last start, like the next."""
    longest_save_seconds: float
    """To write a checkpoint of every active language to disk."""
    memory_gib: float
    """Of the process that uses the most."""

    @classmethod
    def of(cls, run: DisplayState, report: RoundReport, *, time: str) -> "RunMetrics":
        """Return the metrics at the end of a round, which `run` includes."""
        speed = run.throughput
        losses = [line.loss for code in run.active if (line := run.languages[code]).loss is not None]
        newest = [latest for line in run.languages.values() if (latest := line.history.latest) is not None]
        return cls(
            time=time,
            round=report.round,
            rounds=speed.total_rounds,
            steps=speed.total_steps,
            seconds=run.elapsed_seconds,
            audio_seconds=speed.total_audio_seconds,
            active_languages=len(report.languages),
            waiting_languages=report.waiting,
            finished_languages=report.finished,
            loss=_mean(losses),
            cer=_mean([point.cer for point in newest]),
            wer=_mean([point.wer for point in newest]),
            steps_per_second=speed.steps_per_second,
            audio_seconds_per_second=speed.audio_seconds_per_second,
            round_seconds=speed.round_seconds,
            padding_fraction=speed.padding_fraction,
            data_wait_fraction=speed.data_wait_fraction,
            save_fraction=speed.save_fraction,
            device_audio_seconds_per_second=speed.device_audio_seconds_per_second,
            loader_audio_seconds_per_second=speed.loader_audio_seconds_per_second,
            evaluation_fraction=report.evaluation_fraction,
            longest_round_seconds=speed.longest_round_seconds,
            longest_save_seconds=speed.longest_save_seconds,
            memory_gib=report.memory_bytes / _GIB,
        )

    @property
    def at(self) -> datetime:
        """`time` as a moment."""
        return datetime.fromisoformat(self.time)


class MetricsLog:
    """Writes the file, on rank 0."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file. Its lines stay as they are until the first round.

        Raises:
            TrainingError: the file cannot be written.
        """
        self._lines = JsonLines(path, is_whole=lambda line: _parse(line) is not None)
        self._now, self._clock = now, clock
        self._next_seconds = 0.0
        self._count: int | None = None  # None until the first round
        self._unwritten: RunMetrics | None = None

    def round(self, run: DisplayState, report: RoundReport) -> None:
        """Note a round, which `run` includes, and write a line if one is due. The first round is always written.

        Raises:
            TrainingError: the disk is full, or the file is gone.
        """
        time = self._now().isoformat(timespec="milliseconds")
        self._unwritten = RunMetrics.of(run, report, time=time)
        if self._count is None:
            self._cut_back(report.round)
        elif self._clock() < self._next_seconds:
            return
        self._write()

    def close(self) -> None:
        """Write the last round and close the file; a second call does nothing."""
        if self._unwritten is not None:
            self._write()
        self._lines.close()

    def _write(self) -> None:
        assert self._unwritten is not None and self._count is not None
        self._lines.append({name: _short(value) for name, value in asdict(self._unwritten).items()})
        self._unwritten = None
        self._count += 1
        self._next_seconds = self._clock() + EVERY_SECONDS
        if self._count >= MOST_LINES:
            self._thin()

    def _cut_back(self, round: int) -> None:
        """Remove the lines of an earlier process from `round` on, and whatever is not a line of this file."""
        records = _records(self._lines.path)
        kept = [record for record in records if record["round"] < round]
        if len(kept) != len(records):
            self._lines.replace(kept)
        self._count = len(kept)

    def _thin(self) -> None:
        """Keep the last line of every n rounds, n a power of two, so that at most half of `MOST_LINES` are left.

        A power of two, because such parts are nested: a run that is thinned again and again gets no growing gaps.
        """
        records, part_rounds = _records(self._lines.path), 1
        kept = {record["round"]: record for record in records}
        while len(kept) > MOST_LINES // 2:
            part_rounds *= 2
            kept = {record["round"] // part_rounds: record for record in records}
        self._lines.replace(kept.values())
        self._count = len(kept)


def read_metrics(run_directory: str | os.PathLike[str], *, since: datetime | None = None) -> RunMetrics | None:
    """Return the last line that a run has written; None if there is none, or none after `since` (a start).

    A torn line at the end and lines with unexpected content are skipped.
    """
    # A file that cannot be read has no lines: the speed of a run is useful, but not needed.
    records = _records(RunPaths(run_directory).metrics)
    if not records:
        return None
    metrics = _metrics(records[-1])
    return metrics if since is None or metrics.at >= since else None


def read_all_metrics(run_directory: str | os.PathLike[str]) -> list[RunMetrics]:
    """Return every line that a run has written, oldest first; lines with unexpected content are skipped."""
    return [_metrics(record) for record in _records(RunPaths(run_directory).metrics)]


_NAMES = {field.name for field in fields(RunMetrics)}
_COUNTS = {field.name for field in fields(RunMetrics) if field.type is int}
_OPTIONAL = {field.name for field in fields(RunMetrics) if field.type == float | None}


def _records(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the file; none if it cannot be read."""
    try:
        lines = read_file(path).split(b"\n")
    except OSError:
        return []
    return [record for line in lines if (record := _parse(line)) is not None]


def _metrics(record: dict[str, Any]) -> RunMetrics:
    return RunMetrics(**{name: _number(value) for name, value in record.items() if name in _NAMES})


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the values of a line; None if it is not one. Later versions may add fields."""
    record = parse(line)
    if record is None or not record.keys() >= _NAMES or not is_time(record["time"]):
        return None
    others = _NAMES - _COUNTS - {"time"}
    if not all(is_count(record[name]) for name in _COUNTS):
        return None
    return record if all(_is_figure(record[name], optional=name in _OPTIONAL) for name in others) else None


def _is_figure(value: Any, *, optional: bool) -> bool:
    if optional and (value is None or is_amount_or_not_finite(value)):
        return True
    # Without padding, rounding makes its fraction a little less than 0.
    return isinstance(value, int | float) and not isinstance(value, bool) and is_amount(abs(value))


def _number(value: Any) -> Any:
    return float(value) if value in ("nan", "inf", "-inf") else value


def _short(value: Any) -> Any:
    """Round to six significant digits: more would only make lines longer."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
