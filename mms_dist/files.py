"""Writing a small file whole or not at all."""

import contextlib
import os
from pathlib import Path
from uuid import uuid4

from mms_dist.errors import TrainingError


def replace_text(path: Path, text: str) -> None:
    """Write `path` so that a reader, a killed process or a full disk meets the old file or the new one.

    Raises:
        TrainingError: it cannot be written; the old file is as it was.
    """
    staged = path.with_name(f".staging-{uuid4().hex[:12]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(staged, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}; free space there, make the folder writable, or choose "
            "another run.directory"
        ) from error
