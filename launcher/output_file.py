"""Write the files that a user asked for with a flag."""

import contextlib
import os
from pathlib import Path


def write_output(path: Path, text: str) -> None:
    """Write a file atomically.

    Raises:
        DataError: the file cannot be written.
    """
    from mms_dist.errors import DataError

    staged = path.with_name(f".{path.name}.staging")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {problem.strerror}", fix="choose another path") from problem
