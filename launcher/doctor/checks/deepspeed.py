"""Check that DeepSpeed can be imported if a setting needs it. Everything else works without it."""

import subprocess
import sys

from packaging.requirements import Requirement

from launcher.doctor.checks.versions import installed
from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, failed_with, ok
from mms_dist.distributed.deepspeed_package import REQUIREMENT, deepspeed_unavailable, wants_deepspeed

IMPORT_SECONDS = 120.0
"""An import from a cold network disk takes half a minute. One that takes longer than this compiles something."""


def check(context: Context) -> Findings:
    """Import DeepSpeed in a separate process: it prints, and would affect the other checks."""
    deepspeed = context.config.comm.deepspeed if context.config else None
    found = installed("deepspeed")
    if not wants_deepspeed(deepspeed):
        version = f"{found} is installed" if found else "is not installed"
        yield ok(f"deepspeed {version}: only comm.deepspeed and accelerate launch --use_deepspeed need it")
        return
    context.identity["deepspeed"] = found or "missing"
    if found is not None and not Requirement(REQUIREMENT).specifier.contains(found, prereleases=True):
        yield failed(
            f"deepspeed {found}, expected {Requirement(REQUIREMENT).specifier}", f"pip install '{REQUIREMENT}'"
        )
    elif found is None:
        yield failed_with(deepspeed_unavailable(deepspeed, None))
    elif (reason := _import_error()) is not None:
        yield failed_with(deepspeed_unavailable(deepspeed, reason))
    else:
        yield ok(f"deepspeed {found} can be imported")


def _import_error() -> str | None:
    command = [sys.executable, "-c", "import deepspeed"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"the import did not finish within {IMPORT_SECONDS:.0f} s"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else lines[-1] if lines else f"exit status {done.returncode}"
