"""TensorBoard: one run per language, and one for the system.

`RUN/tensorboard/<code>/` holds `lang/<code>/{loss,cer,wer,lr,grad_norm,epoch}` and transcripts as text, over the
language's own step. `all/{loss,cer,wer}` repeat the values worth comparing under tags that all languages share, so
that TensorBoard draws all languages in one chart. `RUN/tensorboard/system/` holds `system/…` over the round.

Why a run per language: a killed run resumes from checkpoints, and the points after them must be dropped. TensorBoard
does that with a session start at a step, which covers a whole run and one axis, while every language has its own step
count. With its own run, a language that starts over also leaves the other curves alone.
"""

import os
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from mms_dist.errors import TrainingError
from mms_dist.monitor.reports import EvaluationReport, LanguageRound, RoundReport

FLUSH_SECONDS = 5.0
POINTS_PER_CURVE = 1_000  # TensorBoard keeps this many points of a curve; longer curves are thinned before writing
SYSTEM = "system"
_OF_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#|]")
GIB = 1024**3


class TensorBoard:
    """Writes reports to event files below one folder.

    Nothing is written before the first flush, and no file stays open between flushes: 1,000 languages need 1,000 files
    on disk but no open file descriptors.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._streams: dict[str, _EventStream] = {}
        self._admitted: dict[str, int] = {}
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def plan(self, lines: Iterable[str]) -> None:
        """Write the plan of the run as text."""
        text = "\n".join(f"    {line}" for line in lines)  # indented: Markdown shows it verbatim in a fixed width
        self._stream(SYSTEM).add(0, [_text("system/plan", text, "Plan of this run")])

    def round(self, report: RoundReport) -> None:
        """Write one round: every language's step, and the system figures."""
        for language in report.languages:
            if _is_drawn(language):
                self._stream(language.language).add(language.step, _step_values(language))
        self._stream(SYSTEM).add(report.round, _system_values(report))
        if time.monotonic() >= self._next_flush:
            self.flush()

    def evaluated(self, report: EvaluationReport) -> None:
        """Write a language's error rates and some transcripts."""
        rates = {"cer": report.scores.cer, "wer": report.scores.wer}
        values = _scalars(f"lang/{report.language}", rates) + _scalars("all", rates)
        if report.samples:
            tag = f"lang/{report.language}/transcripts"
            values.append(_text(tag, _markdown(report.samples), "Dev utterances: reference and hypothesis"))
        self._stream(report.language).add(report.step, values)

    def admitted(self, language: str, step: int) -> None:
        """Continue a language after `step`: points after it, from this process or an earlier one, are outdated."""
        self._admitted[language] = step
        if language in self._streams:
            self._streams.pop(language).flush()

    def flush(self) -> None:
        """Write everything to disk.

        Raises:
            TrainingError: a file cannot be written.
        """
        for stream in self._streams.values():
            stream.flush()
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def _stream(self, run: str) -> "_EventStream":
        if run not in self._streams:
            self._streams[run] = _EventStream(self.directory / run, self._admitted.get(run))
        return self._streams[run]


class _EventStream:
    """One event file, created at the first value; values wait in memory for `flush`."""

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


def _is_drawn(language: LanguageRound) -> bool:
    stride = -(-language.steps // POINTS_PER_CURVE)
    is_regular = stride <= 1 or language.step % stride == 0 or language.step in (1, language.steps)
    return is_regular or language.loss - language.loss != 0  # nan and inf are always shown


def _step_values(language: LanguageRound) -> list[Summary.Value]:
    values = {
        "loss": language.loss,
        "lr": language.lr,
        "grad_norm": language.grad_norm,
        "epoch": language.epoch,
    }
    return _scalars(f"lang/{language.language}", values) + _scalars("all", {"loss": language.loss})


def _system_values(report: RoundReport) -> list[Summary.Value]:
    seconds = report.seconds or float("nan")
    values = {
        "audio_seconds_per_second": report.audio_seconds / seconds,
        "padding_fraction": report.padding_fraction,
        "data_wait_fraction": report.data_wait_seconds / seconds,
        "device_audio_seconds_per_second": report.audio_seconds / (report.compute_seconds or float("nan")),
        "loader_audio_seconds_per_second": report.readers
        * report.read_audio_seconds
        / (report.read_seconds or float("nan")),
        "save_fraction": report.save_seconds / seconds,
        "evaluation_fraction": report.evaluation_fraction,
        "save_all_seconds": report.save_all_seconds,
        "round_seconds": report.seconds,
        "memory_gib": report.memory_bytes / GIB,
        "active_languages": len(report.languages),
        "waiting_languages": report.waiting,
        "finished_languages": report.finished,
    }
    return _scalars(SYSTEM, values)


def _scalars(prefix: str, values: Mapping[str, float]) -> list[Summary.Value]:
    return [Summary.Value(tag=f"{prefix}/{name}", simple_value=value) for name, value in values.items()]


def _text(tag: str, text: str, description: str) -> Summary.Value:
    metadata = create_summary_metadata(display_name="", description=description)
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=TensorShapeProto())
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _markdown(samples: Iterable[tuple[str, str]]) -> str:
    lines = ["| reference | hypothesis |", "| --- | --- |"]
    lines += [f"| {_cell(reference)} | {_cell(hypothesis)} |" for reference, hypothesis in samples]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Escape the characters that Markdown and HTML would interpret."""
    literal = _OF_MARKDOWN.sub(r"\\\g<0>", text.replace("\n", " "))
    return literal.replace("&", "&amp;").replace("<", "&lt;") or "(nothing)"
