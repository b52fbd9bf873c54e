"""The whole visit: this machine is examined, then the job's processes meet, and the first of them reports."""

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
    """What can be seen from here of a run that is about to be submitted.

    Args:
        processes: on each machine; None: as many as this machine has GPUs.
        memory_gib: of the device of a process.
        script: text of the batch script.
    """
    site = site_of(os.environ, nodes=nodes, processes=processes, memory_gib=memory_gib, script=script)
    return merged([Examined(socket.gethostname(), run_checks(Context(path, settings, site)))])


def visit(context: Context, *, timeout_seconds: float, tell: Callable[[Report], None]) -> int:
    """Examine this machine and, with the others of its job, all of them; the first process tells.

    Returns:
        The exit status: of the report, on every process.
    """
    take_place(os.environ)
    host = socket.gethostname()
    findings = run_checks(context)
    if not context.site.here:
        return _tell([Examined(host, findings)], tell)
    mine = Examined(host, findings, context.identity)
    notes, rendezvous = Notes(), None
    with notes.on("network"):
        rendezvous = _meeting(timeout_seconds)
    if rendezvous is not None:
        return _with_others(mine, context, rendezvous, timeout_seconds, tell)
    if not notes.findings:
        notes.findings += _together(context, timeout_seconds, lambda _: None)
    return _tell([_with(mine, notes.findings)], tell)


def _meeting(timeout_seconds: float) -> "Meeting | None":
    """With the other processes of this job; None if there are none.

    Raises:
        CommError: the first of them cannot be reached.
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
            GROUP, Examined(mine.host, _together(context, timeout_seconds, _if_it_hangs(mine, found, tell)))
        )
        group = rendezvous.hear(GROUP)
        everyone = [_with(one, group[rank].findings if rank in group else []) for rank, one in found.items()]
    else:
        first, *others = found.values()
        everyone = [_with(first, [_absent(rendezvous.world, found, timeout_seconds)]), *others]
    if rendezvous.rank == 0:
        code = _tell(everyone, tell)
        rendezvous.end(code)
        return code
    return rendezvous.await_end(otherwise=ExitCode.FAILED)


def _if_it_hangs(
    mine: Examined, found: Mapping[int, Examined], tell: Callable[[Report], None]
) -> Callable[[Finding], None]:
    """What the process that finds that another hangs does before all leave: it reports in place of the first."""

    def report(finding: Finding) -> None:
        _tell([_with(one, [finding] if one == mine else []) for one in found.values()], tell)
        sys.stdout.flush()

    return report


def _together(context: Context, timeout_seconds: float, on_hang: Callable[[Finding], None]) -> list[Finding]:
    notes = Notes()
    with notes.on("network"):
        from launcher.doctor.together import try_together

        notes.findings += try_together(context, timeout_seconds=timeout_seconds, on_hang=on_hang)
    return notes.findings


def _absent(world: int, found: Mapping[int, Examined], timeout_seconds: float) -> Finding:
    silent = [rank for rank in range(world) if rank not in found]
    return Finding(
        "network",
        FAILED,
        f"{len(silent)} of {world} processes have said nothing for {timeout_seconds:g} s: rank "
        f"{', '.join(map(str, silent))}",
        "see that they were started, look at their own output, or allow more time with --timeout-seconds",
    )


def _with(one: Examined, findings: Sequence[Finding]) -> Examined:
    return replace(one, findings=[*one.findings, *findings])


def _tell(everyone: Sequence[Examined], tell: Callable[[Report], None]) -> int:
    report = merged(everyone)
    tell(report)
    return report.exit_code
