"""What Triton needs for its kernels: it compiles a small C library against Python's headers."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def missing_for_kernels() -> Iterator[str]:
    """Yield what is missing of Triton, a C compiler and Python's headers."""
    if find_spec("triton") is None:
        yield "the package triton, which comes with torch's CUDA builds"
    if shutil.which(os.environ.get("CC") or "gcc") is None and shutil.which("clang") is None:
        yield "a C compiler"
    # Debian's Python installs packages under /usr/local, but its headers are under /usr as usual.
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    headers = Path(sysconfig.get_path("include", scheme))
    if not (headers / "Python.h").is_file():
        yield f"Python's headers ({headers})"
