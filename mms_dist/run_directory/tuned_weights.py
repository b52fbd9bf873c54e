"""The weights of language models that were tuned for a run, in RUN/eval/tuned.json; an export has a copy."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mms_dist.files import UnreadableFileError, read_text, replace_text
from mms_dist.run_directory.paths import RunPaths

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


_FIELDS = {each.name for each in fields(Tuned)}


class TunedWeights:
    """Reads and writes the file; one that is missing or unreadable counts as empty, because tuning makes it again.

    Args:
        folder: RUN/eval, or that of an export.
        read_only: keep what is stored in memory, and leave the file as it is.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._path = folder / TUNED_NAME
        self._content: dict[str, Any] = {}
        try:
            content = json.loads(read_text(self._path))
            self._content = {code: own for code, own in content["languages"].items() if own.keys() == _FIELDS}
        except (UnreadableFileError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def of(self, language: str, model: Path) -> Tuned | None:
        """Return what was tuned for a language with this very model."""
        if language not in self._content:
            return None
        tuned = Tuned(**self._content[language])
        return tuned if tuned.sha256 == sha256_of(model) else None

    def store(self, language: str, tuned: Tuned) -> None:
        """Write the weights of one language.

        Raises:
            TrainingError: the file cannot be written.
        """
        self._content[language] = asdict(tuned)
        if self._read_only:
            return
        content = {"languages": dict(sorted(self._content.items()))}
        replace_text(self._path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def beside(cls, model: Path, *, read_only: bool = False) -> "TunedWeights":
        """Return the weights that were tuned for a model: a run, or an export."""
        run = RunPaths(model)
        return cls(run.evaluations if run.config.is_file() else model, read_only=read_only)

    def copy(self, languages: Collection[str], folder: Path) -> None:
        """Write the weights of some languages into another folder, if there are any.

        The language models are named without the folders that they were in, which belong to this machine.
        """
        kept = {
            code: own | {"language_model": Path(str(own["language_model"])).name}
            for code, own in self._content.items()
            if code in languages
        }
        if kept:
            text = json.dumps({"languages": kept}, indent=1, ensure_ascii=False) + "\n"
            (folder / TUNED_NAME).write_text(text, encoding="utf-8")


def sha256_of(model: Path) -> str:
    """Return the checksum of a model's file."""
    with open(model, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
