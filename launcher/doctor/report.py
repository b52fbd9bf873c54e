"""The findings of all machines as one: what all found is said once, and what only some found names them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from launcher.doctor.finding import FAILED, OK, Finding
from mms_dist.errors import ExitCode

UNTOLD = "unknown"


@dataclass(frozen=True)
class Examined:
    """One process's findings, and what must be the same on all machines."""

    host: str
    findings: list[Finding]
    identity: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Examined":
        """The inverse of `asdict`."""
        findings = [Finding(**finding) for finding in values["findings"]]
        return cls(values["host"], findings, values["identity"])


@dataclass(frozen=True)
class Line:
    """A finding, and who found it: empty if all did, or if the first speaks for them."""

    finding: Finding
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What there is to say."""

    lines: list[Line]
    hosts: list[str]

    def count(self, status: str) -> int:
        return sum(line.finding.status == status for line in self.lines)

    @property
    def exit_code(self) -> int:
        """0: the run can be started, though there may be warnings; 1: a check failed."""
        return ExitCode.FAILED if self.count(FAILED) else ExitCode.DONE

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "exit_code": self.exit_code,
            "hosts": self.hosts,
            "findings": [asdict(line.finding) | {"hosts": list(line.hosts)} for line in self.lines],
        }


def merged(examined: Sequence[Examined]) -> Report:
    """One report of what every process found. Where a check is well everywhere, the first process's words stand."""
    finders: dict[Finding, list[str]] = defaultdict(list)
    for one in examined:
        for finding in dict.fromkeys(one.findings):
            finders[finding].append(one.host)
    first = set(examined[0].findings)
    checks = list(dict.fromkeys(finding.check for one in examined for finding in one.findings))
    unwell = {finding.check for finding in finders if finding.status != OK}
    lines = []
    for check in checks:
        for finding, hosts in finders.items():
            if finding.check != check or (finding.status == OK and finding not in first):
                continue
            everywhere = len(hosts) == len(examined) or (finding.status == OK and check not in unwell)
            lines.append(Line(finding, () if everywhere else tuple(dict.fromkeys(hosts))))
    return Report([*lines, *differences(examined)], list(dict.fromkeys(one.host for one in examined)))


def differences(examined: Sequence[Examined]) -> list[Line]:
    """What is not the same on all machines."""
    if len(examined) == 1:
        return []
    lines = []
    names = list(dict.fromkeys(name for one in examined for name in one.identity))
    for name in names:
        found: dict[str, list[str]] = defaultdict(list)
        for one in examined:
            found[one.identity.get(name, UNTOLD)].append(one.host)
        if len(found) > 1:
            told = "; ".join(f"{value} on {', '.join(dict.fromkeys(hosts))}" for value, hosts in found.items())
            lines.append(Line(Finding("machines", FAILED, f"{name} differs: {told}", _FIXES.get(name, _INSTALL))))
    if not lines:
        told = f"{len(examined)} processes agree on {', '.join(names)}"
        lines.append(Line(Finding("machines", OK, told)))
    return lines


_INSTALL = "use one environment on all machines: on a shared disk, or the same container"
_FIXES = {
    "configuration": "let all machines read one file, and pass the same settings",
    "base": "let all machines read one folder (model.base), or fetch the checkpoint again where it differs",
    "shards": "let all machines read one folder (data.shards), or copy the shards again where they differ",
    "mms-dist": "let all machines run one checkout or one installation",
}
