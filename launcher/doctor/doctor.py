"""Run all checks: first on this machine, then together with the job's other processes. Rank 0 prints the report."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.doctor.context import Context
from launcher.doctor.finding import FAILED, Finding, Findings, failed_with
from launcher.doctor.machines import machines_of, set_launch_variables
from launcher.doctor.registry import run_check, run_checks
from launcher.doctor.report import MachineFindings, Report, merge_findings
from mms_dist.errors import ExitCode
from shards.errors import ReportedError

if TYPE_CHECKING:
    from launcher.doctor.findings_exchange import FindingsExchange

RESULTS, GROUP = "machines", "group"
"""Topics that the processes publish: their own checks, and then those of all processes together."""


def preflight(
    path: str,
    settings: Sequence[str],
    *,
    nodes: int,
    processes: int | None = None,
    memory_gib: float | None = None,
    signal: str | None = None,
    on_check: Callable[[str], None] = lambda name: None,
) -> Report:
    """Check from here a run that is about to be submitted.

    Args:
        processes: per machine; None: as many as this machine has GPUs.
        memory_gib: memory of a process's device.
        signal: the job's `--signal`, if it trains; empty if it has none.
        on_check: called with the name of each check before it runs.
    """
    machines = machines_of(os.environ, nodes=nodes, processes=processes, memory_gib=memory_gib, signal=signal)
    context = Context(path=path, settings=settings, machines=machines, on_check=on_check)
    return merge_findings([MachineFindings(socket.gethostname(), run_checks(context))])


def run_doctor(context: Context, *, timeout_seconds: float, show: Callable[[Report], None]) -> int:
    """Check this machine and, with the other processes of its job, all machines; rank 0 calls `show`.

    Returns:
        The exit status of the report, the same on every process.
    """
    set_launch_variables(os.environ)
    host = socket.gethostname()
    findings = run_checks(context)
    if not context.machines.here:
        return _report([MachineFindings(host, findings)], show)
    mine = MachineFindings(host, findings, context.identity)
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return _report([_with_findings(mine, _group_findings(context, timeout_seconds, lambda _: None))], show)
    try:
        from launcher.doctor.findings_exchange import FindingsExchange

        exchange = FindingsExchange(timeout_seconds)
    except ReportedError as error:
        return _report([_with_findings(mine, [replace(failed_with(error), check="network")])], show)
    return _with_others(mine, context, exchange, timeout_seconds, show)


def _with_others(
    mine: MachineFindings,
    context: Context,
    exchange: "FindingsExchange",
    timeout_seconds: float,
    show: Callable[[Report], None],
) -> int:
    exchange.publish(RESULTS, mine)
    found = exchange.collect(RESULTS)
    if len(found) == exchange.world:
        tried = _group_findings(context, timeout_seconds, _report_on_hang(mine, found, show))
        exchange.publish(GROUP, MachineFindings(mine.host, tried))
        group = exchange.collect(GROUP)
        results = [_with_findings(one, group[rank].findings if rank in group else []) for rank, one in found.items()]
    else:
        first, *others = found.values()
        results = [_with_findings(first, [_missing_ranks(exchange.world, found, timeout_seconds)]), *others]
    if exchange.rank == 0:
        code = _report(results, show)
        exchange.end(code)
        return code
    return exchange.await_end(otherwise=ExitCode.FAILED)


def _report_on_hang(
    mine: MachineFindings, found: Mapping[int, MachineFindings], show: Callable[[Report], None]
) -> Callable[[Finding], None]:
    """Return what a process does when it finds that another one hangs: it reports in place of rank 0."""

    def report(finding: Finding) -> None:
        _report([_with_findings(one, [finding] if one == mine else []) for one in found.values()], show)
        sys.stdout.flush()

    return report


def _group_findings(context: Context, timeout_seconds: float, on_hang: Callable[[Finding], None]) -> list[Finding]:
    def check(context: Context) -> Findings:
        from launcher.doctor.network_checks import check_process_group

        device, directory = "cpu", None
        if context.config is not None:
            device, directory = context.config.run.device, Path(context.config.run.directory)
        yield from check_process_group(device, directory, timeout_seconds=timeout_seconds, on_hang=on_hang)

    return run_check("network", check, context)


def _missing_ranks(world: int, found: Mapping[int, MachineFindings], timeout_seconds: float) -> Finding:
    missing = [rank for rank in range(world) if rank not in found]
    return Finding(
        "network",
        FAILED,
        f"{len(missing)} of {world} processes have not reported within {timeout_seconds:g} s: rank "
        f"{', '.join(map(str, missing))}",
        "make sure that they were started, read their own output, or allow more time with --timeout-seconds",
    )


def _with_findings(one: MachineFindings, findings: Sequence[Finding]) -> MachineFindings:
    return replace(one, findings=[*one.findings, *findings])


def _report(results: Sequence[MachineFindings], show: Callable[[Report], None]) -> int:
    report = merge_findings(results)
    show(report)
    return report.exit_code
