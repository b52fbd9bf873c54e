#!/usr/bin/env python3
"""Run the unit tests in a separate environment with other versions of Python, torch and transformers.

    python tools/second_environment.py --python python3.12 --torch 2.11.0 --transformers 5.17.0

Everything else is installed as pyproject.toml requires, from the package index that pip uses. On Linux, most indexes
have the CUDA build of torch. It needs no GPU for these tests, but about 6 GB of disk and a 3 GB download. The
environment is kept: run the same command again to install what has changed and run the tests.

Arguments after `--` go to pytest in place of `tests/unit`. The exit status is that of pytest, or 2 if the environment
cannot be created.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = "python3.12, or the path of an interpreter"
SHOWN = ("torch", "transformers", "accelerate", "deepspeed", "huggingface_hub", "numpy", "pydantic")
SHOW_VERSIONS = """
import importlib.metadata, platform, sys
print("Python", platform.python_version())
for name in sys.argv[1:]:
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print(name, "is not installed")
"""


def main(arguments: Sequence[str]) -> int:
    """Create the environment, show its versions, and run the tests in it."""
    options = parsed(arguments)
    directory = options.directory or default_directory(options)
    python = directory / "bin" / "python"
    try:
        make_environment(python, options.python)
        install(python, options)
    except subprocess.CalledProcessError as error:
        print(f"failed with exit status {error.returncode}: {shlex.join(error.cmd)}", file=sys.stderr)
        return 2
    run([python, "-c", SHOW_VERSIONS, *SHOWN])
    tests = options.pytest or ["tests/unit"]
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", *tests]
    print(f"+ {shlex.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, env=environment(python)).returncode


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", metavar="NAME", default=sys.executable, help=f"{PYTHONS}; default: the one in use")
    parser.add_argument("--torch", metavar="VERSION", help="such as 2.11.0; default: the newest allowed")
    parser.add_argument("--transformers", metavar="VERSION", help="such as 5.17.0; default: the newest allowed")
    parser.add_argument(
        "--without",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="remove this package after installation, such as deepspeed; may be repeated",
    )
    parser.add_argument(
        "--lift-constraints",
        action="store_true",
        help="ignore the constraint file of pip's configuration for this environment",
    )
    parser.add_argument(
        "--directory",
        metavar="DIR",
        type=Path,
        help="folder of the environment; default: named after its versions, under /tmp",
    )
    parser.add_argument("pytest", nargs="*", metavar="-- PYTEST", help="arguments for pytest; default: tests/unit")
    options = parser.parse_args(arguments)
    found = shutil.which(options.python)
    if found is None:
        parser.error(f"--python: found no {options.python!r}, expected {PYTHONS}")
    options.python = found
    return options


def default_directory(options: argparse.Namespace) -> Path:
    names = [Path(options.python).name, f"torch-{options.torch or 'newest'}"]
    names.append(f"transformers-{options.transformers or 'newest'}")
    return Path("/tmp/mms-dist-environments") / "-".join(names)


def make_environment(python: Path, interpreter: str) -> None:
    if not python.exists():
        run([interpreter, "-m", "venv", python.parent.parent])
    run([python, "-m", "pip", "install", "--quiet", "--upgrade", "pip"])


def install(python: Path, options: argparse.Namespace) -> None:
    """Install this checkout, editable, with its test dependencies and the requested versions."""
    named = [f"{name}=={getattr(options, name)}" for name in ("torch", "transformers") if getattr(options, name)]
    variables = os.environ | ({"PIP_CONSTRAINT": os.devnull} if options.lift_constraints else {})
    packages = [*named, "--editable", f"{ROOT}[test]"]
    run([python, "-m", "pip", "install", "--quiet", "--upgrade", *packages], variables)
    if options.without:
        run([python, "-m", "pip", "uninstall", "--quiet", "--yes", *options.without])


def environment(python: Path) -> dict[str, str]:
    """Return variables that put the environment's commands and this checkout first."""
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}


def run(command: Sequence[str | Path], variables: dict[str, str] | None = None) -> None:
    words = [str(word) for word in command]
    print(f"+ {shlex.join([*words[:1], '-c', '…'] if '-c' in words[:2] else words)}", flush=True)
    subprocess.run(words, check=True, env=variables)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
