"""The mark of a language in quarantine: `RUN/adapters/<lang>/QUARANTINED.json`.

The language's newest checkpoint is the last good one and does not record the failure, so the mark is a separate file.
Training writes it; all code that reads checkpoints must respect it. After it is removed, the language continues from
that checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mms_dist.errors import CheckpointError
from mms_dist.files import read_file, replace_text
from mms_dist.run_directory.paths import QUARANTINE_NAME

UNKNOWN_REASON = "its mark cannot be read"


@dataclass(frozen=True)
class QuarantineMark:
    """The step since which a language is in quarantine, and the reason."""

    step: int | None
    reason: str

    @property
    def line(self) -> str:
        """`since step 12: the norm of its gradient is nan`."""
        return self.reason if self.step is None else f"since step {self.step:,}: {self.reason}"


def is_quarantined(adapters: Path, language: str) -> bool:
    """Whether the mark exists, whatever its content."""
    return (adapters / language / QUARANTINE_NAME).exists()


def marked_languages(adapters: Path) -> list[str]:
    """The codes of the languages in quarantine, sorted."""
    return sorted(path.parent.name for path in adapters.glob(f"*/{QUARANTINE_NAME}"))


def write_mark(adapters: Path, language: str, progress: Mapping[str, Any]) -> None:
    """Mark a language as quarantined.

    Args:
        progress: the language's progress at that time as plain values, `step` and `reason` among them.

    Raises:
        TrainingError: the mark cannot be written.
    """
    replace_text(adapters / language / QUARANTINE_NAME, json.dumps(progress, indent=1))


def read_mark(adapters: Path, language: str) -> QuarantineMark | None:
    """Read a language's mark; None if it has none. A mark that cannot be read still counts."""
    try:
        values = read_marked_progress(adapters, language)
        if values is None:
            return None
        step, reason = values["step"], values["reason"]
    except (CheckpointError, KeyError):
        return QuarantineMark(None, UNKNOWN_REASON)
    return QuarantineMark(step if isinstance(step, int) else None, str(reason or UNKNOWN_REASON))


def read_marked_progress(adapters: Path, language: str) -> dict[str, Any] | None:
    """Read the progress in a language's mark, unchecked; None if it has no mark.

    Raises:
        CheckpointError: the mark cannot be read.
    """
    try:
        values = json.loads(read_file(adapters / language / QUARANTINE_NAME))
        if not isinstance(values, dict):
            raise ValueError(f"found a {type(values).__name__}, expected an object")
        return values
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable_mark(adapters, language, error) from error


def unreadable_mark(adapters: Path, language: str, problem: Exception) -> CheckpointError:
    """The error for a mark whose file or content cannot be read."""
    return CheckpointError(
        f"the quarantine mark {adapters / language / QUARANTINE_NAME} cannot be read ({problem})",
        fix=f"remove it so that {language} continues from its last good checkpoint",
    )
