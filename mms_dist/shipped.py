"""Find the shipped configurations and SLURM scripts: at the top of a clone, or where the wheel installed them."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_FOLDER = ("share", "mms-dist")
"""Of the installation, as pyproject.toml has it (`data-files`)."""


def shipped_folder(name: str) -> Path | None:
    """The folder `configs` or `slurm`; None where the installation lacks it."""
    clone = Path(__file__).resolve().parent.parent
    if (clone / "pyproject.toml").is_file() and (clone / name).is_dir():
        return clone / name
    try:
        files = distribution("mms-dist").files or []
    except PackageNotFoundError:
        return None
    for file in files:
        for place in range(len(file.parts) - 3):
            if file.parts[place : place + 3] == (*_FOLDER, name):
                below = len(file.parts) - (place + 3)
                return Path(file.locate()).resolve().parents[below - 1]
    return None


def shipped_configuration(name: str) -> Path | None:
    """The file of a shipped training configuration such as `mms-300m`; None if there is none of that name."""
    folder = shipped_folder("configs")
    return folder / "train" / f"{name}.yaml" if folder is not None and name in shipped_configurations() else None


def shipped_configurations() -> list[str]:
    """Names of the shipped training configurations."""
    folder = shipped_folder("configs")
    return [] if folder is None else sorted(path.stem for path in (folder / "train").glob("*.yaml"))
