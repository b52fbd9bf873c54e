"""The file that marks a language as taken out of a run: `RUN/adapters/<lang>/QUARANTINED.json`.

What it holds is training's to say (`training.quarantine`); whoever reads checkpoints must know that it is there.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mms_dist.files import read_file

QUARANTINE_NAME = "QUARANTINED.json"
UNKNOWN_REASON = "its mark cannot be read"


@dataclass(frozen=True)
class QuarantineMark:
    """Since which step a language is in quarantine, and why."""

    step: int | None
    reason: str

    @property
    def line(self) -> str:
        """`since step 12: the norm of its gradient is nan`."""
        return self.reason if self.step is None else f"since step {self.step:,}: {self.reason}"


def is_quarantined(adapters: Path, language: str) -> bool:
    """Whether the mark is there, whatever is in it."""
    return (adapters / language / QUARANTINE_NAME).exists()


def marked_languages(adapters: Path) -> list[str]:
    """Codes of the languages that are in quarantine, in order."""
    return sorted(path.parent.name for path in adapters.glob(f"*/{QUARANTINE_NAME}"))


def read_mark(adapters: Path, language: str) -> QuarantineMark | None:
    """What a language's mark says; None if it has none. One that cannot be read marks all the same."""
    try:
        values = json.loads(read_file(adapters / language / QUARANTINE_NAME))
        step, reason = values["step"], values["reason"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return QuarantineMark(None, UNKNOWN_REASON)
    return QuarantineMark(step if isinstance(step, int) else None, str(reason or UNKNOWN_REASON))
