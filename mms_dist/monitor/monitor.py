"""The object that training reports to. It updates the terminal, TensorBoard, the event log and the metrics."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.markup import escape

from mms_dist.monitor.console import can_redraw, standard_console
from mms_dist.monitor.display_state import DisplayState
from mms_dist.monitor.event_lines import EventLines
from mms_dist.monitor.events import EventLog, read_events
from mms_dist.monitor.history import History
from mms_dist.monitor.live_display import LiveDisplay
from mms_dist.monitor.metrics_log import MetricsLog
from mms_dist.monitor.plain_display import PlainDisplay
from mms_dist.monitor.reports import EvaluationReport, PlannedLanguage, RoundReport
from mms_dist.monitor.run_reader import apply_checkpoints, reset_deleted
from mms_dist.monitor.run_summary import RunSummary, closing_table
from mms_dist.monitor.tensorboard import TensorBoard
from mms_dist.monitor.throughput import LoaderSpeedNotice
from mms_dist.run_directory.paths import RunPaths

ENDS = frozenset({"finished", "quarantined"})
"""Events that end a language."""


class Display(Protocol):
    """Shows the state of the run on the terminal."""

    def start(self) -> None:
        """Start the display."""

    def update(self, *, force: bool = False) -> None:
        """Show what has changed."""

    def print_line(self, line: str) -> None:
        """Print a permanent line in rich markup."""

    def close(self) -> None:
        """Stop the display and restore the terminal."""


class Monitor:
    """Watches one run on one process. Use it in a `with` block, so that the terminal is restored after an error.

    An existing event log is read first, so the displays and the closing table cover the whole run, including what
    happened before it was resumed.
    """

    def __init__(
        self,
        run_directory: str | os.PathLike[str],
        *,
        languages: Sequence[PlannedLanguage],
        live: bool | None = None,
        tensorboard: bool = True,
        console: Console | None = None,
    ) -> None:
        """Open the event log, the metrics and TensorBoard's folder in `run_directory`.

        Args:
            languages: every language of the run, in display order.
            live: redraw in place (True) or print plain lines (False); None decides from the terminal.
            tensorboard: write event files.
            console: where to print; standard output by default.

        Raises:
            TrainingError: the run directory cannot be written, or its event log is damaged.
        """
        self.run_directory = Path(run_directory)
        self._console = console or standard_console()
        paths = RunPaths(run_directory)
        self._events = EventLog(paths.events)
        past = History(read_events(self._events.path))
        apply_checkpoints(past, paths.adapters)
        reset_deleted(past, paths.adapters)
        self._run = DisplayState.of(str(run_directory), languages, past)
        self._metrics = MetricsLog(paths.metrics)
        self._tensorboard = TensorBoard(paths.tensorboard, languages) if tensorboard else None
        self._event_lines = EventLines()
        self._loader_notice = LoaderSpeedNotice()
        self._lock = threading.RLock()  # checkpoints are written and reported from another thread
        self._running = False
        self._has_new_scores = False
        is_live = can_redraw(self._console) if live is None else live
        display = LiveDisplay if is_live else PlainDisplay
        self._display: Display = display(self._run, self._console)

    def start(self, lines: Sequence[str] = ()) -> None:
        """Print the plan of the run and start to show progress."""
        for line in lines:
            self._console.print(escape(line), highlight=False, soft_wrap=True)
        if self._tensorboard is not None and lines:
            self._tensorboard.plan(lines)
        self._running = True
        self._display.start()

    def round(self, report: RoundReport) -> None:
        """Record a finished round."""
        with self._lock:
            self._run.add_round(report)
            self._metrics.round(self._run, report)
            notice = self._loader_notice.line(self._run.throughput)
            if notice is not None:
                self._display.print_line(escape(notice))
            if self._tensorboard is not None:
                self._tensorboard.round(report)
                self._add_percentiles(report.round)
            self._display.update()

    def evaluated(self, report: EvaluationReport) -> None:
        """Record a language's scores on its dev split, and write the event `evaluated`."""
        with self._lock:
            if self._tensorboard is not None:
                self._tensorboard.evaluated(report)
            self.event(
                "evaluated",
                round=report.round,
                language=report.language,
                step=report.step,
                cer=report.scores.cer,
                wer=report.scores.wer,
                utterances=report.scores.utterances,
                best=report.best,
            )
            self._has_new_scores = True
            self._display.update()

    def event(self, kind: str, *, round: int | None = None, language: str | None = None, **fields: Any) -> None:
        """Record an event of a kind in `events.KINDS`. May be called from any thread."""
        with self._lock:
            fields = self._fields_from_plan(kind, language) | fields
            event = self._events.write(kind, round=round, language=language, **fields)
            self._run.add_event(event)
            if self._tensorboard is not None and kind in ENDS | {"admitted"}:
                self._show_state(self._tensorboard, kind, str(language), int(fields["step"]))
            line = self._run.languages.get(language) if language else None
            text = self._event_lines.line(event, line.history if line else None)
            if text is not None:
                self._display.print_line(text)

    def summary(self) -> RunSummary:
        """Return the state of every language, with its CER before training."""
        languages = [line.history for line in self._run.languages.values()]
        return RunSummary(self.run_directory, languages, self._run.elapsed_seconds)

    def close(self, summary: RunSummary | None = None) -> None:
        """Stop the display, flush everything, and print the closing table of `summary` if one is given."""
        with self._lock:
            if self._tensorboard is not None:
                self._tensorboard.flush()
            self._metrics.close()
            self._events.close()
            if self._running:
                self._running = False
                self._display.close()
        if summary is not None:
            self._console.print(closing_table(summary, self._console.width))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _add_percentiles(self, round_number: int) -> None:
        """Add the latest scores of all languages to TensorBoard, if a language has new ones."""
        points = [line.history.latest for line in self._run.languages.values()]
        rates = [(point.cer, point.wer) for point in points if point is not None]
        if self._tensorboard is not None and self._has_new_scores and rates:
            self._tensorboard.languages(round_number, rates)
        self._has_new_scores = False

    @staticmethod
    def _show_state(tensorboard: TensorBoard, kind: str, language: str, step: int) -> None:
        if kind == "admitted":
            tensorboard.admitted(language, step)
        else:
            tensorboard.ended(language, step, succeeded=kind == "finished")

    def _fields_from_plan(self, kind: str, language: str | None) -> dict[str, Any]:
        """Return fields that make the event log readable without the configuration of the run."""
        if kind in ("run_started", "run_resumed"):
            return {"languages": list(self._run.languages)}
        if kind == "admitted" and language in self._run.languages:
            history = self._run.languages[language].history
            return {
                "steps": history.steps,
                "utterances": history.utterances,
                "audio_seconds": history.audio_seconds,
            }
        return {}
