"""What a language starts from: a scheme, the layers of one adapter file, or an adapter file of its own."""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mms_dist.checkpoint.adapter_file import adapter_filename, read_adapter
from mms_dist.errors import DataError
from mms_dist.model.initial import SCHEMES, initial_tensors
from mms_dist.model.layout import HEAD_BIAS, HEAD_WEIGHT, RowLayout
from shards.file_content import stand_in
from shards.vocabulary import Vocabulary


def brings_a_head(init: str) -> bool:
    """Whether a start by this `adapter.init` can transcribe; that by a scheme or a single file has a random head."""
    return init not in SCHEMES and not init.endswith(".safetensors")


@dataclass(frozen=True)
class InitialAdapters:
    """Makes first adapters of one shape."""

    layout: RowLayout
    seed: int

    def tensors(self, init: str, vocabulary: Vocabulary) -> dict[str, Tensor]:
        """The adapter and head that `adapter.init` gives a language, under Hugging Face's names.

        One file for all languages gives its layers; the head stays new, for another language's means nothing here. A
        folder gives each language its own file, head included, which is of use only with the tokens it was trained on.

        Raises:
            DataError: there is no such scheme, file or folder, or the vocabulary is another one.
            CheckpointError: a file is missing or no adapter of this shape.
        """
        language, path = vocabulary.language, Path(init)
        if init in SCHEMES:
            return self._fresh(init, vocabulary)
        if path.is_dir():
            _same_vocabulary(path / "vocab.json", vocabulary)
            return self._read(path / adapter_filename(language), len(vocabulary))
        if path.is_file():
            fresh = self._fresh("mms", vocabulary)
            return self._read(path, None) | {name: fresh[name] for name in (HEAD_WEIGHT, HEAD_BIAS)}
        raise DataError(
            f"adapter.init {init!r} is neither a scheme ({', '.join(SCHEMES)}) nor a file or folder of adapters"
        )

    def _fresh(self, scheme: str, vocabulary: Vocabulary) -> dict[str, Tensor]:
        return initial_tensors(
            self.layout, len(vocabulary), scheme=scheme, seed=self.seed, language=vocabulary.language
        )

    def _read(self, path: Path, vocabulary_size: int | None) -> dict[str, Tensor]:
        layout = self.layout
        return read_adapter(
            path, layers=layout.layers, hidden=layout.hidden, dim=layout.dim, vocabulary_size=vocabulary_size
        )


def _same_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Compare with the folder's vocab.json; without one, the size of the head is all one can check."""
    if not path.is_file():
        return
    try:
        if instead := stand_in(path):
            raise DataError(f"{path} {instead}")
        nested = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error})", fix="copy the folder of adapters again") from error
    found = Vocabulary.from_nested(nested, vocabulary.language)
    if found != vocabulary:
        raise DataError(
            f"{path} gives {vocabulary.language} {len(found)} tokens, and the shards {len(vocabulary)} other ones",
            fix="start from a scheme or from one adapter file (adapter.init), or build the shards with that vocabulary",
        )
