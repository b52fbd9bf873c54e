"""Print the report: short sections of aligned columns, readable at a width of 80 to 100 characters."""

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from mms_dist.debugging.debug_report import (
    FAILED,
    NOT_RUN,
    PASSED,
    TENSOR_KINDS,
    Check,
    DebugReport,
    OverfitPoint,
)
from mms_dist.monitor.terminal_tables import plain_table
from shards.display.current_work import CurrentWork
from shards.wording import counted

EXAMPLES = 2
ROUTE_LINES = 12
OVERFIT_COLUMNS = 6
ROUNDS_SHOWN = 6
_MARKS = {PASSED: ("PASS", "bold green"), FAILED: ("FAIL", "bold red"), NOT_RUN: ("  – ", "yellow")}


class DebugView:
    """Prints each part of a report as soon as it is available."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._work = CurrentWork(console)

    def __enter__(self) -> Self:
        self._work.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._work.close()

    def doing(self, text: str) -> None:
        """Show what goes on until the next part is available."""
        self._work.describe(text)

    def begin(self, report: DebugReport, parameters: int, rounds: int) -> None:
        self._console.print(
            f"[bold]mms-dist debug[/]  {escape(report.config)}\n"
            f"{escape(report.base)}: {parameters / 1e6:,.1f} M parameters, frozen, {report.dtype} on {report.device}\n"
            f"[dim]training {counted(rounds, 'round')} in a temporary folder …[/]",
            highlight=False,
            soft_wrap=True,
        )

    def plan(self, report: DebugReport) -> None:
        of = f"{len(report.languages)} of {counted(report.run_languages, 'language')}"
        run = f"the run has {counted(report.run_utterances, 'utterance')}, {_hours(report.run_seconds)}"
        self._title("Plan", f"{of}; {run}")
        table = plain_table(
            "language", ">utterances", ">audio", ">left\nout", ">steps", ">batches/\nepoch", ">batch\nhere"
        )
        for line in report.languages:
            table.add_row(
                Text(line.language),
                f"{line.utterances:,}",
                _hours(line.seconds),
                f"{line.left_out:,}",
                f"{line.steps_planned:,}",
                f"{line.batches_an_epoch:,}",
                f"{line.batch_utterances} in {line.batch_seconds:.1f} s",
            )
        self._console.print(table)

    def rounds(self, report: DebugReport) -> None:
        lines = report.rounds
        audio, seconds = sum(line.audio_seconds for line in lines), sum(line.seconds for line in lines)
        padding = sum(line.padding_fraction for line in lines) / len(lines)
        self._title(
            "Rounds", f"{len(lines)} trained, {audio / seconds:,.0f} s of audio per second, {padding:.0%} padding"
        )
        table = plain_table("language", "loss", "gradient norm before clipping")
        for language in (line.language for line in report.languages):
            own = [line for line in lines if language in line.losses]
            losses = _course([f"{line.losses[language]:.2f}" for line in own])
            norms = _course([f"{line.grad_norms[language]:.2g}" for line in own])
            table.add_row(Text(language), losses, norms if len(own) == len(lines) else f"{norms} [red]quarantined[/]")
        self._console.print(table)

    def shapes(self, report: DebugReport) -> None:
        self._title("Shapes", "of one forward pass")
        table = plain_table("stage", ">shape", "dtype", "")
        for stage in report.shapes:
            table.add_row(
                stage.name, " × ".join(f"{n:,}" for n in stage.shape), stage.dtype, f"[dim]{stage.meaning}[/]"
            )
        self._console.print(table)

    def route(self, report: DebugReport, *, forward_passes: int) -> None:
        of = f", pass 1 of {forward_passes}" if forward_passes > 1 else ""
        self._title("Route", f"each utterance uses its own language's row and head{of}")
        table = plain_table("utterance", ">row", "language", ">seconds", ">frames", ">needed", ">slot", ">head")
        for line in report.route[:ROUTE_LINES]:
            table.add_row(
                Text(_shorten(line.key, 34)),
                str(line.row),
                Text(line.language),
                f"{line.seconds:.2f}",
                str(line.frames),
                str(line.required_frames),
                str(line.slot),
                str(line.head),
            )
        self._console.print(table)
        self._more(len(report.route) - ROUTE_LINES, "utterance")

    def memory(self, report: DebugReport) -> None:
        self._title("Memory")
        table = plain_table("", ">MiB", "")
        for line in report.memory:
            table.add_row(line.name, f"{line.bytes / 2**20:,.1f}", f"[dim]{line.meaning}[/]")
        self._console.print(table)

    def gradients(self, report: DebugReport) -> None:
        self._title("Gradients", "gradient norms of one batch, by kind of tensor; scale is the clipping factor")
        table = plain_table(
            "language", ">parameters", ">file MB", ">all", *[f">{kind}" for kind in TENSOR_KINDS], ">scale", ">without"
        )
        for line in report.gradients:
            zero = f"[red]{len(line.zero)} of {line.tensors}[/]" if line.zero else f"0 of {line.tensors}"
            norms = [f"{line.norms[kind]:.2g}" for kind in ("all", *TENSOR_KINDS)]
            table.add_row(
                Text(line.language),
                f"{line.parameters:,}",
                f"{line.file_bytes / 1e6:.2f}",
                *norms,
                f"{line.clip_factor:.2f}",
                zero,
            )
        self._console.print(table)
        for line in report.gradients:
            if line.zero:
                names = ", ".join(line.zero[:EXAMPLES]) + (" …" if len(line.zero) > EXAMPLES else "")
                self._console.print(f"  [red]no gradient in {escape(line.language)}:[/] {names}", highlight=False)

    def transcripts(self, report: DebugReport) -> None:
        self._title("Transcripts", "with their label ids")
        table = plain_table("language", "transcript", "ids")
        for language in report.languages:
            own = [line for line in report.transcripts if line.language == language.language]
            for line in own[:EXAMPLES]:
                text = Text(_shorten(line.text, 40))
                ids = " ".join(map(str, line.ids[:10])) + (" …" if len(line.ids) > 10 else "")
                table.add_row(Text(line.language), text, f"[dim]{ids}[/]")
        self._console.print(table)

    def checks_begin(self) -> None:
        self._title("Checks", "on this model and data")

    def check(self, check: Check) -> None:
        mark, style = _MARKS[check.status]
        head = Text.assemble("  ", (mark, style), "  ", (f"{check.invariant:<5}", "cyan"), "  ", check.claim)
        self._console.print(head, soft_wrap=True)
        self._console.print(Text(f"               {check.measured}", style="dim"), soft_wrap=True)

    def overfitting(self, point: OverfitPoint) -> None:
        """Print a line of losses and error rates; if there are many languages, the mean and the worst."""
        columns = {code: (point.losses[code], cer) for code, cer in point.cers.items()}
        if len(columns) > OVERFIT_COLUMNS:
            values = list(columns.values())
            mean = (sum(loss for loss, _ in values) / len(values), sum(cer for _, cer in values) / len(values))
            columns = {"mean": mean, "worst": (max(loss for loss, _ in values), max(cer for _, cer in values))}
        if point.step == 0:
            self._title("Overfit", "two short utterances per language, no augmentation: loss and CER %")
            self._console.print(escape(_overfit_line("step", list(columns))), style="dim")
        cells = [f"{loss:.2f} {100 * cer:4.0f}" for loss, cer in columns.values()]
        self._console.print(_overfit_line(str(point.step), cells), highlight=False)

    def overfitted(self) -> None:
        self._console.print()

    def end(self, report: DebugReport) -> None:
        failed, not_run = report.count(FAILED), report.count(NOT_RUN)
        style = "bold red" if failed else "bold green"
        line = f"\n[{style}]{report.count(PASSED)} passed, {failed} failed[/]"
        line += f", [yellow]{not_run} not run[/]" if not_run else ""
        self._console.print(f"{line} in {report.seconds:.0f} s", highlight=False)

    def _title(self, title: str, about: str = "") -> None:
        self._console.print(f"\n[bold]{title}[/]  [dim]{about}[/]", highlight=False, soft_wrap=True)

    def _more(self, count: int, noun: str) -> None:
        if count > 0:
            self._console.print(f"  [dim]… and {counted(count, f'more {noun}')}[/]", highlight=False)


def _overfit_line(first: str, cells: Sequence[str]) -> str:
    return f"  {first:>5}" + "".join(f"{cell:>14}" for cell in cells)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _course(values: Sequence[str]) -> str:
    """Join values over time; if there are many, leave out the middle."""
    if len(values) > ROUNDS_SHOWN:
        values = [*values[: ROUNDS_SHOWN // 2], "…", *values[-ROUNDS_SHOWN // 2 :]]
    return " → ".join(values)
