"""Where the adapters to be scored come from: the checkpoints of a run, or a folder of adapters."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from mms_dist.checkpoint.adapter_file import check_adapter
from mms_dist.checkpoint.adapter_folder import AdapterFolder
from mms_dist.checkpoint.choice import choose_languages, load_checkpoint
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.snapshot import Damage
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark, marked_languages, read_mark
from shards.errors import Problem
from shards.vocabulary import Vocabulary


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter and where it is from.

    Attributes:
        step: steps that it was trained for; None if it is not one of a run.
        checkpoint: `best`, `last` or the `newest` intact one; `published` if it is not one of a run.
    """

    tensors: Mapping[str, Tensor]
    vocabulary: Vocabulary
    step: int | None
    checkpoint: str
    quarantined: QuarantineMark | None = None


class AdapterSource(Protocol):
    """Adapters by language.

    Attributes:
        run: folder of the run; None if it is not one.
        damaged: what was found damaged so far; something older and intact was loaded instead.
    """

    run: Path | None
    damaged: list[Damage]

    def choose(self, languages: Sequence[str] | None) -> tuple[list[str], dict[str, Problem]]:
        """Return the languages to score, and those that cannot be, with the reason.

        Raises:
            CheckpointError: one is not there, or none at all.
        """
        ...

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """Keep what `load` needs open."""
        ...

    def load(self, language: str) -> LoadedAdapter:
        """Load an adapter.

        Raises:
            CheckpointError: it is damaged.
        """
        ...


class RunAdapters:
    """The checkpoints of a run.

    Args:
        pointer: a language that was never evaluated has no `best`; its `last` is loaded instead.
    """

    def __init__(self, directory: Path, pointer: PointerName) -> None:
        self.run: Path | None = directory
        self.damaged: list[Damage] = []
        self._folder = RunPaths(directory).adapters
        self._pointer: PointerName = pointer
        self._store: CheckpointStore | None = None

    def choose(self, languages: Sequence[str] | None) -> tuple[list[str], dict[str, Problem]]:
        """Return the languages that have a checkpoint, and those quarantined before their first, with the reason."""
        with CheckpointStore(self._folder, keep=1) as store:
            chosen = choose_languages(store.languages(), languages, self._folder)
        if languages is not None:
            return chosen, {}
        marks = {code: read_mark(self._folder, code) for code in marked_languages(self._folder) if code not in chosen}
        return chosen, {
            code: Problem(f"no checkpoint, in quarantine {mark.line}") for code, mark in marks.items() if mark
        }

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the store open."""
        with CheckpointStore(self._folder, keep=1) as self._store:
            yield

    def load(self, language: str) -> LoadedAdapter:
        """Load the checkpoint that is pointed to, or the newest intact one."""
        assert self._store is not None, "call it within `opened`"
        try:
            snapshot, name = load_checkpoint(self._store, language, self._pointer)
        finally:
            self.damaged = self._store.damaged
        vocabulary = Vocabulary.from_nested(snapshot.vocabulary, language)
        mark = read_mark(self._folder, language)
        return LoadedAdapter(snapshot.adapter, vocabulary, snapshot.step, name, mark)


class FolderAdapters:
    """The adapters of an export, or of an MMS model of Hugging Face (a folder or a Hub name)."""

    def __init__(self, place: str) -> None:
        self.run: Path | None = None
        self.damaged: list[Damage] = []
        self._folder = AdapterFolder(place)

    def choose(self, languages: Sequence[str] | None) -> tuple[list[str], dict[str, Problem]]:
        """Return the languages that are wanted, or all."""
        return choose_languages(self._folder.languages, languages, Path(self._folder.place)), {}

    def opened(self) -> contextlib.AbstractContextManager[None]:
        """Nothing has to be kept open."""
        return contextlib.nullcontext()

    def load(self, language: str) -> LoadedAdapter:
        """Load an adapter file."""
        tensors, vocabulary = self._folder.load(language)
        return LoadedAdapter(tensors, vocabulary, None, "published")

    @property
    def has_base(self) -> bool:
        """Whether the base is there beside the adapters; see `AdapterFolder.has_base`."""
        return self._folder.has_base

    def dim(self, language: str) -> int:
        """Return the dimension of an adapter."""
        return check_adapter(self._folder.load(language)[0]).dim
