"""Print a report in a terminal: one line per finding, its fix below, and the totals."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from launcher.doctor.finding import FAILED, NOT_CHECKED, OK, WARNING
from launcher.doctor.report import Line, Report

SHOWN = 8
"""Most findings shown per check and status: 1,000 languages can have 1,000 of one kind."""
_MARKS = {
    OK: ("ok", "green"),
    WARNING: ("warn", "bold yellow"),
    FAILED: ("FAIL", "bold red"),
    NOT_CHECKED: ("–", "dim"),
}


def show(report: Report, console: Console) -> None:
    """Print a report."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    counts: dict[tuple[str, str], int] = {}
    for line in report.lines:
        kind = (line.finding.check, line.finding.status)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= SHOWN:
            _add(table, line)
    console.print(table)
    for (check, status), count in counts.items():
        if count > SHOWN:
            console.print(f"  … and {count - SHOWN:,} more of {check} ({status}); --json has all", highlight=False)
    console.print(_totals(report))


def _add(table: Table, line: Line) -> None:
    finding = line.finding
    mark, style = _MARKS[finding.status]
    text = Text(finding.found, style="dim" if finding.status == NOT_CHECKED else "")
    if line.hosts:
        text = Text.assemble((f"{', '.join(line.hosts)}: ", "cyan"), text)
    if finding.fix:
        text.append(f"\n→ {finding.fix}", style="cyan")
    table.add_row(Text(mark, style=style), finding.check, text)


def _totals(report: Report) -> Text:
    failed, warnings = report.count(FAILED), report.count(WARNING)
    machines = "" if len(report.hosts) == 1 else f" on {len(report.hosts)} machines"
    warned = f", {warnings} {'warning' if warnings == 1 else 'warnings'}" if warnings else ""
    if failed:
        return Text(f"{failed} to fix{warned}{machines}", style="bold red")
    return Text(f"nothing to fix{warned}{machines}", style="bold green")
