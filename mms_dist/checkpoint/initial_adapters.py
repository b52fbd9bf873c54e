"""Create a language's first adapter: from a scheme, the layers of a shared adapter file, or its own adapter file."""

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mms_dist.checkpoint.adapter_file import adapter_filename, read_adapter
from mms_dist.checkpoint.head_rows import MappedRows, mapped_head
from mms_dist.errors import CheckpointError, DataError
from mms_dist.model.adapter import HEAD_BIAS, HEAD_WEIGHT, SCHEMES, RowLayout, initial_tensors
from shards.errors import ShardsError
from shards.file_content import detect_placeholder
from shards.vocabulary import Vocabulary, token_ids


def has_trained_head(init: str) -> bool:
    """Return whether `adapter.init` provides a trained head; a scheme or a single file gives a random one."""
    return init not in SCHEMES and not init.endswith(".safetensors")


@dataclass(frozen=True)
class InitialAdapter:
    """A language's first adapter and head, under Hugging Face's names.

    `mapped`: where the rows of the head came from, if they are those of another vocabulary.
    """

    tensors: dict[str, Tensor]
    mapped: MappedRows | None = None


@dataclass(frozen=True)
class InitialAdapters:
    """Creates initial adapters of one shape."""

    layout: RowLayout
    seed: int

    def create(self, init: str, vocabulary: Vocabulary) -> InitialAdapter:
        """Return a language's initial adapter and head.

        A single file gives its adapter layers to all languages. The head is initialised randomly, because a head of
        another language is useless. A folder gives each language its own file, including the head. If the folder's
        `vocab.json` has other tokens than `vocabulary`, the rows of the head are taken by character, and those of
        characters that are new are initialised.

        Raises:
            DataError: there is no such scheme, file or folder, or its vocabulary cannot be read.
            CheckpointError: a file is missing or is not an adapter of this shape.
        """
        path = Path(init)
        if init in SCHEMES:
            return InitialAdapter(self._fresh(init, vocabulary))
        if path.is_dir():
            return self._from_folder(path, vocabulary)
        if path.is_file():
            return InitialAdapter(self._read(path, None) | self._fresh_head(vocabulary))
        raise DataError(
            f"adapter.init {init!r} is neither a scheme ({', '.join(SCHEMES)}) nor a file or folder of adapters"
        )

    def _from_folder(self, folder: Path, vocabulary: Vocabulary) -> InitialAdapter:
        path, vocabulary_path = folder / adapter_filename(vocabulary.language), folder / "vocab.json"
        if not vocabulary_path.is_file():  # then only the size of the head can be checked
            tensors = self._read(path, None)
            rows = len(tensors[HEAD_BIAS])
            if rows != len(vocabulary):
                raise CheckpointError(
                    f"{path} has a head of {rows} tokens, but the shards of {vocabulary.language} have "
                    f"{len(vocabulary)}, and there is no vocab.json that says which",
                    fix=f"put its vocab.json into {folder} (the rows are then taken by character), or name the file "
                    "itself in adapter.init, which takes the adapter and makes a new head",
                )
            return InitialAdapter(tensors)
        ids = _token_ids(vocabulary_path, vocabulary.language)
        if ids == vocabulary.nested()[vocabulary.language]:
            return InitialAdapter(self._read(path, len(vocabulary)))
        tensors = self._read(path, None)
        rows = len(tensors[HEAD_BIAS])
        if max(ids.values(), default=0) >= rows:
            raise DataError(
                f"{vocabulary_path} has an id of {max(ids.values())} for {vocabulary.language}, but the head in {path} "
                f"has {rows} rows",
                fix="copy both files from the same model",
            )
        head, mapped = mapped_head(tensors, ids, vocabulary, self._fresh_head(vocabulary))
        return InitialAdapter(tensors | head, mapped)

    def _fresh(self, scheme: str, vocabulary: Vocabulary) -> dict[str, Tensor]:
        return initial_tensors(
            self.layout, len(vocabulary), scheme=scheme, seed=self.seed, language=vocabulary.language
        )

    def _fresh_head(self, vocabulary: Vocabulary) -> dict[str, Tensor]:
        fresh = self._fresh("mms", vocabulary)
        return {name: fresh[name] for name in (HEAD_WEIGHT, HEAD_BIAS)}

    def _read(self, path: Path, vocabulary_size: int | None) -> dict[str, Tensor]:
        layout = self.layout
        return read_adapter(
            path, layers=layout.layers, hidden=layout.hidden, dim=layout.dim, vocabulary_size=vocabulary_size
        )


def _token_ids(path: Path, language: str) -> dict[str, int]:
    """Read the ids of a language's tokens from a `vocab.json` of one or several languages.

    Raises:
        DataError: the file cannot be read, or lacks the language.
    """
    try:
        if instead := detect_placeholder(path):
            raise DataError(f"{path} {instead}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error})", fix="copy the folder of adapters again") from error
    try:
        return token_ids(content, language)
    except ShardsError as error:
        raise DataError(f"{path}: {error.found}", error.fix) from error
