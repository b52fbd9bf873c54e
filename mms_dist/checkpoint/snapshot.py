"""The contents of a checkpoint, and the report of a damaged one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mms_dist.errors import CheckpointError

# ISO 639-3, optionally with a script (`srp-script_latin`). The pattern also keeps a code from escaping its folder.
_LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The complete training state of one language at one step.

    language: code, such as `ron` or `srp-script_latin`.
    step: optimizer steps taken.
    adapter: CPU tensors by Hugging Face name (`mms_dist.checkpoint.adapter_file` lists them), float32 or float64; they
        are restored bit for bit.
    optimizer: CPU tensors by name, such as the flat `exp_avg` and `exp_avg_sq`.
    state: everything else (status, round, stream position, scores …), as JSON values with string keys.
    vocabulary: nested, `{language: {token: id}}`, with ids 0 … V-1 and V the rows of the head.
    """

    language: str
    step: int
    adapter: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    vocabulary: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Damage:
    """The file or folder that makes a checkpoint unusable, and what is wrong with it."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class DamagedCheckpoint(Exception):
    """A checkpoint folder is damaged; the store then loads an older one, or raises a CheckpointError."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.damage = Damage(path, reason)


def check_language(language: str) -> str:
    """Return the code if it can be a folder name.

    Raises:
        CheckpointError: it cannot.
    """
    if not _LANGUAGE.fullmatch(language):
        raise CheckpointError(
            f"found the language code {language!r}, expected letters, digits, '-' and '_' as in 'ron' or "
            "'srp-script_latin'",
            fix="rename the language in the shards",
        )
    return language
