"""All checks of one machine, one after the other, whatever they find."""

import importlib

from launcher.doctor.context import Context
from launcher.doctor.finding import Finding, Notes

CHECKS = {
    "versions": "versions",
    "software": "software",
    "configuration": "configuration",
    "DeepSpeed": "deepspeed",
    "device": "device",
    "base model": "base",
    "shards": "shards",
    "loader": "loader",
    "first adapters": "adapters",
    "shard cache": "cache",
    "run directory": "run_directory",
    "last attempt": "attempts",
    "checkpoints": "checkpoints",
    "disk space": "disk",
    "memory": "memory",
    "processes": "processes",
    "lead time": "lead_time",
}
"""Name and module of every check; those that need what another finds out come after it."""


def run_checks(context: Context) -> list[Finding]:
    """Look at everything; what is learned on the way is in the subject afterwards."""
    notes = Notes()
    for name, module in CHECKS.items():
        with notes.on(name):
            importlib.import_module(f"launcher.doctor.checks.{module}").look(context, notes)
    return notes.findings
