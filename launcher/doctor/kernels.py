"""What Triton needs where its kernels are used: it compiles a small library in C, against Python's headers."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def missing_for_kernels() -> Iterator[str]:
    """What is not there, of Triton, a C compiler and Python's headers."""
    if find_spec("triton") is None:
        yield "the package triton, which comes with torch's CUDA builds"
    if shutil.which(os.environ.get("CC") or "gcc") is None and shutil.which("clang") is None:
        yield "a C compiler"
    # Debian's own Python installs packages below /usr/local, and has its headers below /usr like any other.
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    headers = Path(sysconfig.get_path("include", scheme))
    if not (headers / "Python.h").is_file():
        yield f"Python's headers ({headers})"
