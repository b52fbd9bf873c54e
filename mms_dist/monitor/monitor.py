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
from mms_dist.monitor.display_state import Board
from mms_dist.monitor.event_lines import Announcer
from mms_dist.monitor.events import EventLog, read_events
from mms_dist.monitor.history import History
from mms_dist.monitor.live_display import LiveProgress
from mms_dist.monitor.metrics_log import NAME as METRICS_NAME
from mms_dist.monitor.metrics_log import MetricsLog
from mms_dist.monitor.plain_display import PlainProgress
from mms_dist.monitor.reports import EvaluationReport, LanguagePlan, RoundReport
from mms_dist.monitor.run_reader import forget_deleted, take_checkpoints
from mms_dist.monitor.run_summary import RunSummary, closing
from mms_dist.monitor.tensorboard import TensorBoard
from mms_dist.monitor.throughput import LoaderSpeedNotice


class Progress(Protocol):
    """A display of the board."""

    def start(self) -> None:
        """Start the display."""

    def update(self, *, force: bool = False) -> None:
        """Show the changes of the board."""

    def announce(self, line: str) -> None:
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
        languages: Sequence[LanguagePlan],
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
        self._events = EventLog(self.run_directory / "events.jsonl")
        past = History(read_events(self._events.path))
        take_checkpoints(past, self.run_directory / "adapters")
        forget_deleted(past, self.run_directory / "adapters")
        self._board = Board.of(str(run_directory), languages, past)
        self._metrics = MetricsLog(self.run_directory / METRICS_NAME)
        self._tensorboard = TensorBoard(self.run_directory / "tensorboard") if tensorboard else None
        self._announcer = Announcer()
        self._supply = LoaderSpeedNotice()
        self._lock = threading.RLock()  # checkpoints are written and reported from another thread
        self._running = False
        is_live = can_redraw(self._console) if live is None else live
        display = LiveProgress if is_live else PlainProgress
        self._progress: Progress = display(self._board, self._console)

    def start(self, lines: Sequence[str] = ()) -> None:
        """Print the plan of the run and start to show progress."""
        for line in lines:
            self._console.print(escape(line), highlight=False, soft_wrap=True)
        if self._tensorboard is not None and lines:
            self._tensorboard.plan(lines)
        self._running = True
        self._progress.start()

    def round(self, report: RoundReport) -> None:
        """Record a finished round."""
        with self._lock:
            self._board.take(report)
            self._metrics.round(self._board, report)
            supply = self._supply.line(self._board.throughput)
            if supply is not None:
                self._progress.announce(escape(supply))
            if self._tensorboard is not None:
                self._tensorboard.round(report)
            self._progress.update()

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
            self._progress.update()

    def event(self, kind: str, *, round: int | None = None, language: str | None = None, **fields: Any) -> None:
        """Record an event of a kind in `events.KINDS`. May be called from any thread."""
        with self._lock:
            fields = self._fields_from_plan(kind, language) | fields
            event = self._events.write(kind, round=round, language=language, **fields)
            self._board.event(event)
            if kind == "admitted" and self._tensorboard is not None:
                self._tensorboard.admitted(str(language), int(fields["step"]))
            line = self._board.lines.get(language) if language else None
            announcement = self._announcer.line(event, line.history if line else None)
            if announcement is not None:
                self._progress.announce(announcement)

    def summary(self) -> RunSummary:
        """Return the state of every language, with its CER before training."""
        languages = [line.history for line in self._board.lines.values()]
        return RunSummary(self.run_directory, languages, self._board.elapsed_seconds)

    def close(self, summary: RunSummary | None = None) -> None:
        """Stop the display, flush everything, and print the closing table of `summary` if one is given."""
        with self._lock:
            if self._tensorboard is not None:
                self._tensorboard.flush()
            self._metrics.close()
            self._events.close()
            if self._running:
                self._running = False
                self._progress.close()
        if summary is not None:
            self._console.print(closing(summary, self._console.width))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _fields_from_plan(self, kind: str, language: str | None) -> dict[str, Any]:
        """Return fields that make the event log readable without the configuration of the run."""
        if kind in ("run_started", "run_resumed"):
            return {"languages": list(self._board.lines)}
        if kind == "admitted" and language in self._board.lines:
            history = self._board.lines[language].history
            return {
                "steps": history.steps,
                "utterances": history.utterances,
                "audio_seconds": history.audio_seconds,
            }
        return {}
