"""Create a language's first adapter: from a scheme, the layers of a shared adapter file, or its own adapter file."""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mms_dist.checkpoint.adapter_file import adapter_filename, read_adapter
from mms_dist.errors import DataError
from mms_dist.model.adapter import HEAD_BIAS, HEAD_WEIGHT, SCHEMES, RowLayout, initial_tensors
from shards.file_content import detect_placeholder
from shards.vocabulary import Vocabulary


def has_trained_head(init: str) -> bool:
    """Return whether `adapter.init` provides a trained head; a scheme or a single file gives a random one."""
    return init not in SCHEMES and not init.endswith(".safetensors")


@dataclass(frozen=True)
class InitialAdapters:
    """Creates initial adapters of one shape."""

    layout: RowLayout
    seed: int

    def tensors(self, init: str, vocabulary: Vocabulary) -> dict[str, Tensor]:
        """Return a language's initial adapter and head, under Hugging Face's names.

        A single file gives its adapter layers to all languages. The head is initialised randomly, because a head of
        another language is useless. A folder gives each language its own file, including the head, so the vocabulary
        must be the one the head was trained with.

        Raises:
            DataError: there is no such scheme, file or folder, or the vocabulary differs.
            CheckpointError: a file is missing or is not an adapter of this shape.
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
    """Compare with the folder's vocab.json. Without one, only the size of the head can be checked."""
    if not path.is_file():
        return
    try:
        if instead := detect_placeholder(path):
            raise DataError(f"{path} {instead}")
        nested = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error})", fix="copy the folder of adapters again") from error
    found = Vocabulary.from_nested(nested, vocabulary.language)
    if found != vocabulary:
        raise DataError(
            f"{path} has {len(found)} tokens for {vocabulary.language}, but the shards have {len(vocabulary)} "
            "different ones",
            fix="start from a scheme or one adapter file (adapter.init), or rebuild the shards with that vocabulary",
        )
