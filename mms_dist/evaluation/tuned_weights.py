"""The weights of language models that were tuned for a run, in RUN/eval/tuned.json."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mms_dist.files import UnreadableFileError, read_text, replace_text

TUNED_NAME = "tuned.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning found for one language.

    Attributes:
        language_model: path of the model, and `sha256` of its bytes: the weights are those of this model only.
        wer, cer: on `utterances` of dev, with these weights and a narrow beam.
        greedy_wer, greedy_cer: on the same, without the model.
        step: of the checkpoint.
    """

    language_model: str
    sha256: str
    alpha: float
    beta: float
    wer: float
    cer: float
    greedy_wer: float
    greedy_cer: float
    utterances: int
    step: int


class TunedWeights:
    """Reads and writes the file; one that is missing or unreadable counts as empty, because tuning makes it again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TUNED_NAME
        self._content: dict[str, Any] = {}
        try:
            content = json.loads(read_text(self._path))
            self._content = dict(content["languages"])
        except (UnreadableFileError, ValueError, KeyError, TypeError):
            pass

    def of(self, language: str, model: Path) -> Tuned | None:
        """Return what was tuned for a language with this very model."""
        try:
            tuned = Tuned(**self._content[language])
        except (KeyError, TypeError):
            return None
        return tuned if tuned.sha256 == sha256_of(model) else None

    def store(self, language: str, tuned: Tuned) -> None:
        """Write the weights of one language.

        Raises:
            TrainingError: the file cannot be written.
        """
        self._content[language] = asdict(tuned)
        content = {"languages": dict(sorted(self._content.items()))}
        replace_text(self._path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def sha256_of(model: Path) -> str:
    """Return the checksum of a model's file."""
    with open(model, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
