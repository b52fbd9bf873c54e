"""The versions of the software that decides results."""

import platform
from importlib.metadata import PackageNotFoundError, version

import mms_dist

PACKAGES = ("torch", "transformers", "accelerate", "deepspeed", "numpy")


def software_versions() -> dict[str, str]:
    """Return the versions by name; packages that are not installed are left out."""
    found = {"mms-dist": mms_dist.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
