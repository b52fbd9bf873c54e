"""The report: the findings of all machines merged, and printed in a terminal.

Findings that all machines share appear once; the others name their machines.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from launcher.doctor.finding import FAILED, NOT_CHECKED, OK, WARNING, Finding
from mms_dist.errors import ExitCode

UNKNOWN = "unknown"
SHOWN = 8
"""Most findings shown per check and status: 1,000 languages can have 1,000 of one kind."""
_MARKS = {
    OK: ("ok", "green"),
    WARNING: ("warn", "bold yellow"),
    FAILED: ("FAIL", "bold red"),
    NOT_CHECKED: ("–", "dim"),
}


@dataclass(frozen=True)
class MachineFindings:
    """One process's findings, and the values that must be the same on all machines."""

    host: str
    findings: list[Finding]
    identity: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "MachineFindings":
        """Invert `asdict`."""
        findings = [Finding(**finding) for finding in values["findings"]]
        return cls(values["host"], findings, values["identity"])


@dataclass(frozen=True)
class Line:
    """A finding, and the hosts that found it: empty if all did, or if rank 0 stands for all."""

    finding: Finding
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The merged findings of all machines."""

    lines: list[Line]
    hosts: list[str]

    def count(self, status: str) -> int:
        return sum(line.finding.status == status for line in self.lines)

    @property
    def exit_code(self) -> int:
        """0: the run can be started, though there may be warnings; 1: a check failed."""
        return ExitCode.FAILED if self.count(FAILED) else ExitCode.DONE

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "exit_code": self.exit_code,
            "hosts": self.hosts,
            "findings": [asdict(line.finding) | {"hosts": list(line.hosts)} for line in self.lines],
        }


def merge_findings(examined: Sequence[MachineFindings]) -> Report:
    """Merge the findings of all processes. If a check is ok everywhere, use rank 0's findings."""
    finders: dict[Finding, list[str]] = defaultdict(list)
    for one in examined:
        for finding in dict.fromkeys(one.findings):
            finders[finding].append(one.host)
    first = set(examined[0].findings)
    checks = list(dict.fromkeys(finding.check for one in examined for finding in one.findings))
    not_ok = {finding.check for finding in finders if finding.status != OK}
    lines = []
    for check in checks:
        for finding, hosts in finders.items():
            if finding.check != check or (finding.status == OK and finding not in first):
                continue
            everywhere = len(hosts) == len(examined) or (finding.status == OK and check not in not_ok)
            lines.append(Line(finding, () if everywhere else tuple(dict.fromkeys(hosts))))
    return Report([*lines, *differences(examined)], list(dict.fromkeys(one.host for one in examined)))


def differences(examined: Sequence[MachineFindings]) -> list[Line]:
    """Return the values that differ between machines."""
    if len(examined) == 1:
        return []
    lines = []
    names = list(dict.fromkeys(name for one in examined for name in one.identity))
    for name in names:
        found: dict[str, list[str]] = defaultdict(list)
        for one in examined:
            found[one.identity.get(name, UNKNOWN)].append(one.host)
        if len(found) > 1:
            values = "; ".join(f"{value} on {', '.join(dict.fromkeys(hosts))}" for value, hosts in found.items())
            lines.append(Line(Finding("machines", FAILED, f"{name} differs: {values}", _FIXES.get(name, _INSTALL))))
    if not lines:
        lines.append(Line(Finding("machines", OK, f"{len(examined)} processes agree on {', '.join(names)}")))
    return lines


_INSTALL = "use the same environment on all machines: on a shared disk, or in one container image"
_FIXES = {
    "configuration": "use the same configuration file and the same settings on all machines",
    "base": "use one shared folder (model.base) on all machines, or download the checkpoint again where it differs",
    "shards": "use one shared folder (data.shards) on all machines, or copy the shards again where they differ",
    "mms-dist": "use the same checkout or installation on all machines",
}


def show_report(report: Report, console: Console) -> None:
    """Print a report: one line per finding, its fix below, and the totals."""
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
