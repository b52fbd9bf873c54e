"""The checks of one machine, in order.

To add one, write a file in `checks/` with a function `check`, and one line here. A check comes after those whose
results it needs; docs/extending.md has an example.
"""

import importlib
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Finding, Findings, failed, failed_with
from shards.errors import ReportedError

Check = Callable[[Context], Findings]

CHECKS: dict[str, str] = {}
"""The module of every check, by the check's name."""

ORIGIN_CALLS = 4
"""Number of calls of an unexpected error's traceback that its fix shows."""


def register_check(name: str, module: str) -> None:
    """Add a check to the end of the list.

    Args:
        name: as the report shows it.
        module: a module with a function `check`, which is imported only when the doctor runs.

    Raises:
        ValueError: there is a check of that name.
    """
    if name in CHECKS:
        raise ValueError(f"there are two doctor checks {name!r}: {CHECKS[name]} and {module}")
    CHECKS[name] = module


register_check("versions", "launcher.doctor.checks.versions")
register_check("software", "launcher.doctor.checks.software")
register_check("configuration", "launcher.doctor.checks.configuration")
register_check("DeepSpeed", "launcher.doctor.checks.deepspeed")
register_check("device", "launcher.doctor.checks.device")
register_check("base model", "launcher.doctor.checks.base")
register_check("shards", "launcher.doctor.checks.shards")
register_check("loader", "launcher.doctor.checks.loader")
register_check("first adapters", "launcher.doctor.checks.adapters")
register_check("shard cache", "launcher.doctor.checks.cache")
register_check("run directory", "launcher.doctor.checks.run_directory")
register_check("last attempt", "launcher.doctor.checks.attempts")
register_check("checkpoints", "launcher.doctor.checks.checkpoints")
register_check("disk space", "launcher.doctor.checks.disk")
register_check("memory", "launcher.doctor.checks.memory")
register_check("processes", "launcher.doctor.checks.processes")
register_check("lead time", "launcher.doctor.checks.lead_time")


def run_checks(context: Context) -> list[Finding]:
    """Run every check, whatever the others find. Checks store what they find out in `context`."""
    found: list[Finding] = []
    for name, module in CHECKS.items():
        context.on_check(name)
        found += run_check(name, _imported(module), context)
    return found


def run_check(name: str, check: Check, context: Context) -> list[Finding]:
    """Run one check, and return its findings under `name`. An error that ends the check becomes its last finding."""
    findings: list[Finding] = []
    try:
        findings.extend(check(context))  # keeps what was found before an error
    except ReportedError as error:
        findings.append(failed_with(error))
    except ImportError as error:
        findings.append(
            failed(f"cannot be checked: {error}", "reinstall mms-dist and its dependencies: pip install -e .")
        )
    except Exception as error:  # a check that breaks must not hide what the others find
        findings.append(
            failed(
                f"cannot be checked: {type(error).__name__}: {error}",
                "if the error does not show what to fix, open an issue with the error, the command and its origin: "
                f"{_origin(error)}",
            )
        )
    return [finding if finding.check else replace(finding, check=name) for finding in findings]


def _imported(module: str) -> Check:
    """Return a check that imports its module first, so that a failing import is a finding of it."""

    def check(context: Context) -> Findings:
        yield from importlib.import_module(module).check(context)

    return check


def _origin(error: Exception) -> str:
    """Return the innermost calls, last call first: a traceback on one line, without this machine's paths."""
    calls = reversed(traceback.extract_tb(error.__traceback__)[-ORIGIN_CALLS:])
    return ", from ".join(f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls)
