"""Examinations of small runs, for tests of `mms-dist doctor`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launcher.doctor.context import Context
from launcher.doctor.finding import FAILED, WARNING, Finding
from launcher.doctor.machines import Machines
from launcher.doctor.registry import run_checks
from tests.training import toy_config


def written_config(folder: Path, base: Path, shards: Path, **sections: Any) -> Path:
    """The file of a configuration with which nothing is wrong, but for `sections`."""
    path = folder / "config.yaml"
    path.write_text(toy_config(folder / "run", base, shards, **sections).to_yaml(), encoding="utf-8")
    return path


def examined(path: Path, *settings: str, load: bool = False, **machines: Any) -> list[Finding]:
    """All findings on this machine."""
    return run_checks(Context(path=str(path), settings=settings, machines=Machines(**machines), load=load))


def failed(findings: Iterable[Finding]) -> dict[str, str]:
    """The checks that failed, each with all it says."""
    return _told(findings, FAILED)


def warned(findings: Iterable[Finding]) -> dict[str, str]:
    """The same for warnings."""
    return _told(findings, WARNING)


def _told(findings: Iterable[Finding], status: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for finding in findings:
        if finding.status == status:
            told[finding.check] = told.get(finding.check, "") + f"{finding.found} → {finding.fix}\n"
    return told
