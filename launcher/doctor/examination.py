"""Run all checks of one machine in order, whatever they find."""

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
"""Name and module of every check. A check comes after those whose results it needs."""


def run_checks(context: Context) -> list[Finding]:
    """Run every check. Checks store what they find out in `context`."""
    notes = Notes()
    for name, module in CHECKS.items():
        with notes.on(name):
            importlib.import_module(f"launcher.doctor.checks.{module}").look(context, notes)
    return notes.findings
