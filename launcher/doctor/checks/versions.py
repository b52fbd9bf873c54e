"""Check that all required packages are installed in the required versions."""

import platform
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import launcher
from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, count_failures, failed, ok

NAMED = ("torch", "transformers", "accelerate")
"""Packages whose versions are shown and compared between machines: results depend on them."""
OPTIONAL = ("deepspeed",)
"""Required only by some settings, which have their own check."""
DISTRIBUTION = "mms-dist"


def check(context: Context) -> Findings:
    """Compare the installed packages with the requirements in pyproject.toml or in the package's metadata."""
    python, declared_requirements = declared()
    requirements = [each for each in declared_requirements if each.name not in OPTIONAL]
    context.identity["Python"] = platform.python_version()
    failures = yield from count_failures(_wrong_versions(context, python, requirements))
    if not failures:
        shown = ", ".join(f"{name} {installed(name)}" for name in NAMED)
        yield ok(f"Python {platform.python_version()}, {shown}; all {len(requirements)} packages as required")


def _wrong_versions(context: Context, python: SpecifierSet, requirements: Sequence[Requirement]) -> Findings:
    if not python.contains(platform.python_version(), prereleases=True):
        yield failed(
            f"Python {platform.python_version()}, expected {python}", "recreate the environment with that Python"
        )
    for requirement in requirements:
        found = installed(requirement.name)
        if requirement.name in NAMED:
            context.identity[requirement.name] = found or "missing"
        if found is None:
            yield failed(f"{requirement.name} is not installed", f"pip install '{requirement}'")
        elif not requirement.specifier.contains(found, prereleases=True):
            yield failed(
                f"{requirement.name} {found}, expected {requirement.specifier}", f"pip install '{requirement}'"
            )


def declared() -> tuple[SpecifierSet, list[Requirement]]:
    """Return the supported Python versions and the required packages, from the checkout or else from the package.

    Raises:
        PackageNotFoundError: this is neither a checkout nor an installed package.
    """
    project = Path(launcher.__file__).parent.parent / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        python, lines = table["requires-python"], table["dependencies"]
    else:
        python, lines = metadata.metadata(DISTRIBUTION)["Requires-Python"], metadata.requires(DISTRIBUTION) or []
    requirements = [Requirement(line) for line in lines]
    # The marker of an extra's package is false unless that extra is requested.
    return SpecifierSet(python), [each for each in requirements if each.marker is None or each.marker.evaluate()]


def installed(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
