"""TensorBoard: one run per language, and one for the system.

`RUN/tensorboard/<code>/` holds `lang/<code>/{loss,cer,wer,lr,grad_norm,epoch}`, transcripts as text and a few
recordings, over the language's own step. `all/{loss,cer,wer}` repeat the values worth comparing under tags that all
languages share, so that TensorBoard draws all languages in one chart. `RUN/tensorboard/system/` holds `system/…` and
`languages/…` over the round.

Why a run per language: a killed run resumes from checkpoints, and the points after them must be dropped. TensorBoard
does that with a session start at a step, which covers a whole run and one axis, while every language has its own step
count. With its own run, a language that starts over also leaves the other curves alone.

TensorBoard selects no run by itself where there are more than 40, so a thousand languages are empty charts. Two pages
work with any number: HParams, where every language is a row that sorts and filters, and `system`, opened by itself,
with the error rates of all languages as a median and a band.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from mms_dist.monitor.event_file import EventFile
from mms_dist.monitor.marked_transcripts import markdown_table
from mms_dist.monitor.reports import EvaluationReport, LanguageRound, PlannedLanguage, RoundReport
from mms_dist.monitor.tensorboard_values import (
    audio,
    experiment,
    layout,
    line_chart,
    margin_chart,
    scalars,
    session_end,
    session_start,
    text,
    wav,
)
from shards.language_table import language_table
from shards.schema import SAMPLE_RATE

FLUSH_SECONDS = 5.0
POINTS_PER_CURVE = 1_000  # TensorBoard keeps this many points of a curve; longer curves are thinned before writing
SYSTEM = "system"
AUDIO_BYTES = 64 << 20
"""Of the recordings of all languages together."""
LONGEST_CLIP_SECONDS = 10
RATES = ("cer", "wer")
PERCENTILES = {"p10": 10, "median": 50, "p90": 90}
METRICS = {"all/cer": "dev CER", "all/wer": "dev WER", "all/loss": "loss"}
COLUMNS: dict[str, type[str] | type[float]] = {
    "name": str,
    "script": str,
    "train hours": float,
}
"""Of the HParams page, with the type of their values; more would push the error rates off a screen."""
GIB = 1024**3


class TensorBoard:
    """Writes reports to event files below one folder.

    Nothing is written before the first flush, and no file stays open between flushes: 1,000 languages need 1,000 files
    on disk but no open file descriptors.
    """

    def __init__(self, directory: str | os.PathLike[str], languages: Sequence[PlannedLanguage] = ()) -> None:
        """
        Args:
            languages: those of the run. Each is a row of the HParams page, and has its share of `AUDIO_BYTES`.
        """
        self.directory = Path(directory)
        self._planned = {each.language: each for each in languages}
        self._audio_bytes = AUDIO_BYTES // max(1, len(languages))
        self._files: dict[str, EventFile] = {}
        self._admitted: dict[str, int] = {}
        self._first: list[Summary.Value] = [*_pages()]  # for the first round: the system's points begin there
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def plan(self, lines: Iterable[str]) -> None:
        """Write the plan of the run as text, with the first round."""
        verbatim = "\n".join(f"    {line}" for line in lines)  # indented: Markdown shows it in a fixed width
        self._first.append(text("system/plan", verbatim, "Plan of this run"))

    def round(self, report: RoundReport) -> None:
        """Write one round: every language's step, and the system figures."""
        for language in report.languages:
            if _is_drawn(language):
                self._add(language.language, language.step, _step_values(language))
        self._add(SYSTEM, report.round, self._first + _system_values(report))
        self._first = []
        if time.monotonic() >= self._next_flush:
            self.flush()

    def evaluated(self, report: EvaluationReport) -> None:
        """Write a language's error rates, some transcripts, and their recordings if the report has them."""
        rates = {"cer": report.scores.cer, "wer": report.scores.wer}
        values = scalars(f"lang/{report.language}", rates) + scalars("all", rates)
        if report.samples:
            tag = f"lang/{report.language}/transcripts"
            values.append(text(tag, markdown_table(report.samples), "Dev utterances; differences are bold"))
        values += self._recordings(report)
        self._add(report.language, report.step, values)

    def languages(self, round_number: int, rates: Sequence[tuple[float, float]]) -> None:
        """Write percentiles over the languages' latest dev CER and WER."""
        values = {
            f"{name}_{percentile}": float(np.percentile(column, rank))
            for name, column in zip(RATES, np.array(rates).T, strict=True)
            for percentile, rank in PERCENTILES.items()
        }
        self._add(SYSTEM, round_number, scalars("languages", values))

    def admitted(self, language: str, step: int) -> None:
        """Continue a language after `step`: points after it, from this process or an earlier one, are outdated."""
        self._admitted[language] = step
        if language in self._files:
            self._files.pop(language).flush()

    def ended(self, language: str, step: int, *, succeeded: bool) -> None:
        """Write how a language ended, if this process trained it: else its file would begin here, at its last point."""
        if language in self._files:
            self._add(language, step, [session_end(succeeded, time.time())])

    def flush(self) -> None:
        """Write everything to disk.

        Raises:
            TrainingError: a file cannot be written.
        """
        for file in self._files.values():
            file.flush()
        self._next_flush = time.monotonic() + FLUSH_SECONDS

    def _add(self, run: str, step: int, values: Sequence[Summary.Value]) -> None:
        if run not in self._files:
            self._files[run] = EventFile(self.directory / run, self._admitted.get(run))
            if run in self._planned:
                values = [session_start(_columns(self._planned[run]), time.time()), *values]
        self._files[run].add(step, values)

    def _recordings(self, report: EvaluationReport) -> Iterator[Summary.Value]:
        """Yield the recordings of the samples as long as they fit in this language's share. The first one is cut."""
        left = self._audio_bytes
        for number, (samples, (reference, _)) in enumerate(zip(report.audio, report.samples, strict=False), start=1):
            clip = samples[: min(LONGEST_CLIP_SECONDS * SAMPLE_RATE, left if number == 1 else len(samples))]
            content = wav(clip)
            left -= len(content)
            if left < 0 and number > 1:
                return
            yield audio(f"lang/{report.language}/audio/{number}", content, reference)


def _columns(language: PlannedLanguage) -> dict[str, str | float]:
    known = language_table().by_code.get(language.language)
    return {
        "name": known.name if known else "",
        "script": known.script if known else "",
        "train hours": language.seconds / 3600,
    }


def _pages() -> list[Summary.Value]:
    """Return the columns of the HParams page, and the charts of Custom Scalars."""
    rates = [
        margin_chart(f"dev {rate.upper()}: median, 10th and 90th percentile", *_band(f"languages/{rate}"))
        for rate in RATES
    ]
    speeds = [f"{SYSTEM}/{name}audio_seconds_per_second" for name in ("", "device_", "loader_")]
    waits = [f"{SYSTEM}/{name}_fraction" for name in ("data_wait", "save", "evaluation", "padding")]
    speed = [line_chart("seconds of audio per second", speeds), line_chart("fraction of the time", waits)]
    return [experiment(COLUMNS, METRICS), layout({"all languages": rates, "speed": speed})]


def _band(prefix: str) -> tuple[str, str, str]:
    return f"{prefix}_median", f"{prefix}_p10", f"{prefix}_p90"


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
    return scalars(f"lang/{language.language}", values) + scalars("all", {"loss": language.loss})


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
    return scalars(SYSTEM, values)
