"""Run all checks: first on this machine, then together with the job's other processes. Rank 0 prints the report."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.doctor.context import Context
from launcher.doctor.examination import run_checks
from launcher.doctor.finding import FAILED, Finding, Notes
from launcher.doctor.report import Examined, Report, merged
from launcher.doctor.site import site_of
from launcher.doctor.step import take_place
from mms_dist.errors import ExitCode

if TYPE_CHECKING:
    from launcher.doctor.rendezvous import Meeting

RESULTS, GROUP = "examined", "together"


def preflight(
    path: str,
    settings: Sequence[str],
    *,
    nodes: int,
    processes: int | None = None,
    memory_gib: float | None = None,
    script: str | None = None,
) -> Report:
    """Check from here a run that is about to be submitted.

    Args:
        processes: per machine; None: as many as this machine has GPUs.
        memory_gib: memory of a process's device.
        script: text of the batch script.
    """
    site = site_of(os.environ, nodes=nodes, processes=processes, memory_gib=memory_gib, script=script)
    return merged([Examined(socket.gethostname(), run_checks(Context(path, settings, site)))])


def visit(context: Context, *, timeout_seconds: float, tell: Callable[[Report], None]) -> int:
    """Check this machine and, with the other processes of its job, all machines; rank 0 calls `tell`.

    Returns:
        The exit status of the report, the same on every process.
    """
    take_place(os.environ)
    host = socket.gethostname()
    findings = run_checks(context)
    if not context.site.here:
        return _report([Examined(host, findings)], tell)
    mine = Examined(host, findings, context.identity)
    notes, rendezvous = Notes(), None
    with notes.on("network"):
        rendezvous = _join_rendezvous(timeout_seconds)
    if rendezvous is not None:
        return _with_others(mine, context, rendezvous, timeout_seconds, tell)
    if not notes.findings:
        notes.findings += _together(context, timeout_seconds, lambda _: None)
    return _report([_with_findings(mine, notes.findings)], tell)


def _join_rendezvous(timeout_seconds: float) -> "Meeting | None":
    """Join the other processes of this job; None if there are none.

    Raises:
        CommError: rank 0 cannot be reached.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return None
    from launcher.doctor.rendezvous import Meeting

    return Meeting(timeout_seconds)


def _with_others(
    mine: Examined, context: Context, rendezvous: "Meeting", timeout_seconds: float, tell: Callable[[Report], None]
) -> int:
    rendezvous.tell(RESULTS, mine)
    found = rendezvous.hear(RESULTS)
    if len(found) == rendezvous.world:
        rendezvous.tell(
            GROUP, Examined(mine.host, _together(context, timeout_seconds, _report_on_hang(mine, found, tell)))
        )
        group = rendezvous.hear(GROUP)
        results = [_with_findings(one, group[rank].findings if rank in group else []) for rank, one in found.items()]
    else:
        first, *others = found.values()
        results = [_with_findings(first, [_missing_ranks(rendezvous.world, found, timeout_seconds)]), *others]
    if rendezvous.rank == 0:
        code = _report(results, tell)
        rendezvous.end(code)
        return code
    return rendezvous.await_end(otherwise=ExitCode.FAILED)


def _report_on_hang(
    mine: Examined, found: Mapping[int, Examined], tell: Callable[[Report], None]
) -> Callable[[Finding], None]:
    """Return what a process does when it finds that another one hangs: it reports in place of rank 0."""

    def report(finding: Finding) -> None:
        _report([_with_findings(one, [finding] if one == mine else []) for one in found.values()], tell)
        sys.stdout.flush()

    return report


def _together(context: Context, timeout_seconds: float, on_hang: Callable[[Finding], None]) -> list[Finding]:
    notes = Notes()
    with notes.on("network"):
        from launcher.doctor.together import try_together

        notes.findings += try_together(context, timeout_seconds=timeout_seconds, on_hang=on_hang)
    return notes.findings


def _missing_ranks(world: int, found: Mapping[int, Examined], timeout_seconds: float) -> Finding:
    missing = [rank for rank in range(world) if rank not in found]
    return Finding(
        "network",
        FAILED,
        f"{len(missing)} of {world} processes have not reported within {timeout_seconds:g} s: rank "
        f"{', '.join(map(str, missing))}",
        "make sure that they were started, read their own output, or allow more time with --timeout-seconds",
    )


def _with_findings(one: Examined, findings: Sequence[Finding]) -> Examined:
    return replace(one, findings=[*one.findings, *findings])


def _report(results: Sequence[Examined], tell: Callable[[Report], None]) -> int:
    report = merged(results)
    tell(report)
    return report.exit_code
