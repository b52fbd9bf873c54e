"""Is everything installed that mms-dist asks for, in the versions it asks for?"""

import platform
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import launcher
from launcher.doctor.context import Context
from launcher.doctor.finding import Notes

NAMED = ("torch", "transformers", "accelerate")
"""Shown by version, and compared between machines: numbers depend on them."""
OPTIONAL = ("deepspeed",)
"""Asked for, but needed for settings only that have a check of their own."""
DISTRIBUTION = "mms-dist"


def look(context: Context, notes: Notes) -> None:
    """Compares what is installed with what pyproject.toml, or the installed package, declares."""
    python, declared_requirements = declared()
    requirements = [each for each in declared_requirements if each.name not in OPTIONAL]
    context.identity["Python"] = platform.python_version()
    if not python.contains(platform.python_version(), prereleases=True):
        notes.fail(
            f"Python {platform.python_version()}, expected {python}", "make the environment anew with such a Python"
        )
    for requirement in requirements:
        found = installed(requirement.name)
        if requirement.name in NAMED:
            context.identity[requirement.name] = found or "missing"
        if found is None:
            notes.fail(f"{requirement.name} is not installed", f"pip install '{requirement}'")
        elif not requirement.specifier.contains(found, prereleases=True):
            notes.fail(f"{requirement.name} {found}, expected {requirement.specifier}", f"pip install '{requirement}'")
    if not notes.of("failed"):
        shown = ", ".join(f"{name} {installed(name)}" for name in NAMED)
        notes.ok(f"Python {platform.python_version()}, {shown}; all {len(requirements)} packages as required")


def declared() -> tuple[SpecifierSet, list[Requirement]]:
    """Python's range, and what is always needed: of the checkout that runs, else of the installed package.

    Raises:
        PackageNotFoundError: neither is there.
    """
    project = Path(launcher.__file__).parent.parent / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        python, lines = table["requires-python"], table["dependencies"]
    else:
        python, lines = metadata.metadata(DISTRIBUTION)["Requires-Python"], metadata.requires(DISTRIBUTION) or []
    requirements = [Requirement(line) for line in lines]
    # An extra's packages are marked with it, and their marker is false without it.
    return SpecifierSet(python), [each for each in requirements if each.marker is None or each.marker.evaluate()]


def installed(name: str) -> str | None:
    """The version of a package, None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
