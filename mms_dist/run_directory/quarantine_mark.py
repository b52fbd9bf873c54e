"""The file that marks a language as quarantined: `RUN/adapters/<lang>/QUARANTINED.json`.

Training writes it (`training.quarantine`); all code that reads checkpoints must respect it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mms_dist.files import read_file

QUARANTINE_NAME = "QUARANTINED.json"
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


def read_mark(adapters: Path, language: str) -> QuarantineMark | None:
    """Read a language's mark; None if it has none. A mark that cannot be read still counts."""
    try:
        values = json.loads(read_file(adapters / language / QUARANTINE_NAME))
        step, reason = values["step"], values["reason"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return QuarantineMark(None, UNKNOWN_REASON)
    return QuarantineMark(step if isinstance(step, int) else None, str(reason or UNKNOWN_REASON))
