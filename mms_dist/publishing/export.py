"""Export a run to a folder that Hugging Face's `from_pretrained` and `load_adapter` read without a network.

config.json, model.safetensors                       the frozen base with the first language's adapter
adapter.<lang>.safetensors                           each language's adapter and head, float32
vocab.json, tokenizer_config.json, …                 nested: {lang: {token: id}}
preprocessor_config.json, processor_config.json
README.md, mms-dist-export.json                      the model card, and the same data for programs
tuned.json                                           the weights of language models that were tuned for the run

With a folder per language, each is complete in itself, and the folder above has mms-dist-export.json alone. The ONNX
files of `mms_dist.publishing.onnx_export` are laid out so.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from mms_dist.checkpoint.adapter_file import AdapterMismatch, adapter_filename, check_adapter, write_adapter
from mms_dist.checkpoint.choice import ExportChoice
from mms_dist.checkpoint.hugging_face import (
    WEIGHTS_NAME,
    ExportedBase,
    load_base_config,
    write_processor,
    write_vocabulary,
)
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.snapshot import Damage, Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.errors import CheckpointError
from mms_dist.model.adapter import AdapterShape
from mms_dist.publishing.card_facts import gather_facts
from mms_dist.publishing.export_destination import EXPORT_MARK, Destination
from mms_dist.publishing.exported_language import ExportedLanguage
from mms_dist.publishing.model_card import base_licence, model_card
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark
from mms_dist.run_directory.tuned_weights import TunedWeights
from mms_dist.usage_programs import adapters_usage, transformers_usage

CARD_NAME = "README.md"
UNPUBLISHED = "path/to/this/folder"


@dataclass(frozen=True)
class ExportedFolder:
    """A folder that is complete in itself: its languages, and its files with their sizes, those of a dry run planned.

    `language` is that of a folder of its own; None for one folder of all languages.
    """

    path: Path
    language: str | None
    languages: tuple[ExportedLanguage, ...]
    files: dict[str, int]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(self.files.values())


@dataclass(frozen=True)
class ExportReport:
    """The result of an export: its folders, its size (0 for a dry run), and damaged checkpoints found.

    `folder`: the destination, which is the only folder, or holds one for each language. `left_out`: the languages that
    are in quarantine or untrained, each with the reason. `notes`: what was measured, for people.
    """

    folder: Path
    languages: tuple[ExportedLanguage, ...]
    bytes: int
    damaged: tuple[Damage, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    folders: tuple[ExportedFolder, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WrittenFolder:
    """What a writer has put into a folder, and what the model card says of it.

    `planned`: files that a dry run did not write, with their sizes.
    """

    exported: tuple[ExportedLanguage, ...]
    dim: int
    usage: str
    planned: dict[str, int]
    title: str | None = None
    onnx: str | None = None
    notes: tuple[str, ...] = ()


Described = tuple[Snapshot, ExportedLanguage]


class FolderWriter(Protocol):
    """Writes the models of a folder, without its model card."""

    def write(
        self, folder: Path, described: Iterator[Described], *, published_as: str | None, dry_run: bool
    ) -> WrittenFolder:
        """Write the languages; with `dry_run` leave out the weights. `published_as` is the folder's name on the Hub."""


@dataclass
class HuggingFaceWriter:
    """Writes what `from_pretrained` loads; without a base, the adapters and vocabularies alone."""

    base: ExportedBase | None
    base_name: str

    def write(
        self, folder: Path, described: Iterator[Described], *, published_as: str | None, dry_run: bool
    ) -> WrittenFolder:
        """Write one language at a time, so that a thousand adapters need not be in memory together."""
        exported: list[ExportedLanguage] = []
        vocabulary: dict[str, dict[str, int]] = {}
        first: dict[str, torch.Tensor] = {}
        planned: dict[str, int] = {}
        for snapshot, item in described:
            adapter = {name: tensor.float() for name, tensor in snapshot.adapter.items()}
            if dry_run:
                planned[adapter_filename(item.language)] = item.bytes
            else:
                write_adapter(folder / adapter_filename(item.language), adapter)
            vocabulary |= snapshot.vocabulary
            exported.append(item)
            first = first or adapter
        shape = check_adapter(first)
        language, other = exported[0].language, exported[-1].language
        if self.base is None:
            write_vocabulary(folder, vocabulary)
            place, on_hub = published_as or UNPUBLISHED, published_as is not None
            usage = adapters_usage(place, self.base_name, language, shape.dim, on_hub=on_hub)
            return WrittenFolder(tuple(exported), shape.dim, usage, planned)
        if dry_run:
            planned[WEIGHTS_NAME] = self.base.plan(folder, shape)
        else:
            self.base.write(folder, first, shape)
        write_processor(folder, vocabulary, language)
        usage = transformers_usage(published_as or UNPUBLISHED, language, other)
        return WrittenFolder(tuple(exported), shape.dim, usage, planned)


def export_run(
    run_directory: Path,
    destination: Path | None = None,
    *,
    base_path: str,
    base_name: str | None = None,
    config: Config | None = None,
    languages: Sequence[str] | None = None,
    pointer: PointerName = "best",
    dtype: str | None = None,
    adapters_only: bool = False,
    folder_per_language: bool = False,
    writer_of: Callable[[ExportedBase], FolderWriter] | None = None,
    repository: str | None = None,
    dataset: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    include_quarantined: bool = False,
    start_is_trained: Callable[[str], bool] = lambda language: False,
    on_language: Callable[[str, int, int], None] = lambda language, done, total: None,
) -> ExportReport:
    """Export a run's languages. The folder appears complete or not at all; the run is not modified.

    A language in quarantine is left out unless `include_quarantined` is set. A language without a training step is
    always left out, because its adapter is still random.

    Args:
        destination: RUN/export by default. An earlier export there is replaced.
        base_path: folder or Hub name of the base the run was trained on.
        base_name: the base's name in the model card; by default the name of its folder or on the Hub.
        config: the run's configuration, for what the card says of data and settings; None leaves these out.
        languages: None exports all languages that have a checkpoint.
        pointer: which checkpoint to export. A language that was never evaluated has no `best`; its `last` is exported
            instead, and the report and the card say so.
        dtype: dtype of the base's weights, a key of `hugging_face.DTYPES`; None keeps the base's own.
        adapters_only: leave out the base, tokenizer and preprocessor; the base is then not needed.
        folder_per_language: write a folder for each language, each complete in itself.
        writer_of: makes the writer of another kind of folder, such as one of ONNX files.
        repository: where the folder goes on the Hub, for the programs in the card; see `repository_of`.
        dataset: the corpus's name in the card; None: the name of the folder of shards.
        force: rename an existing folder that is not an export.
        dry_run: read and check everything, but write nothing.
        include_quarantined: also export languages in quarantine, from their last good checkpoints.
        start_is_trained: whether a language started from an adapter and head trained elsewhere for it, so that its
            start may be its best checkpoint.
        on_language: called before each language with its code, how many are done, and of how many.

    Raises:
        NothingToExport: every language is in quarantine or untrained.
        CheckpointError: a language is unknown, or named but would be left out; no complete checkpoint exists; adapters
            do not fit the base or each other; or the destination cannot or must not be written.
        BaseModelError: the base cannot be loaded.
        DataError: a stored evaluation of the run has unexpected content.
    """
    run_directory = Path(run_directory)
    local = Path(base_path).is_dir()
    target = Destination(
        RunPaths(run_directory).export if destination is None else Path(destination),
        force=force,
        protected=[run_directory, *([Path(base_path)] if local else [])],
        inside=[RunPaths(run_directory).adapters],
    )
    base_config = None if adapters_only else load_base_config(base_path)
    name = base_name or (Path(base_path).name if local else base_path)
    base = None if base_config is None else ExportedBase(base_path, base_config, dtype)
    writer = HuggingFaceWriter(base, name) if writer_of is None or base is None else writer_of(base)
    tuned = TunedWeights(RunPaths(run_directory).evaluations)
    with CheckpointStore(RunPaths(run_directory).adapters, keep=1) as store:
        choice = ExportChoice(store, pointer, include_quarantined, start_is_trained)
        chosen, left_out = choice.select(languages)
        described = _told(_fitting(choice, chosen, base_config, name), len(chosen), on_language)
        parts = [([code], code) for code in chosen] if folder_per_language else [(chosen, None)]
        with tempfile.TemporaryDirectory() if dry_run else target.staging() as staging:
            folders: list[ExportedFolder] = []
            notes: list[str] = []
            for codes, own in parts:
                folder = Path(staging) / own if own else Path(staging)
                folder.mkdir(exist_ok=True)
                of_part = itertools.islice(described, len(codes))
                published_as = repository and repository_of(repository, own)
                written = writer.write(folder, of_part, published_as=published_as, dry_run=dry_run)
                facts = gather_facts(
                    run_directory,
                    config,
                    written.exported,
                    base=name,
                    licence=base_licence(base_path, name),
                    dim=written.dim,
                    dataset=dataset,
                )
                card = model_card(facts, usage=written.usage, title=written.title, onnx=written.onnx)
                (folder / CARD_NAME).write_text(card, encoding="utf-8")
                _write_mark(folder, name, written.exported, left_out)
                if not written.onnx:
                    tuned.copy([item.language for item in written.exported], folder)
                files = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
                place = target.folder / own if own else target.folder
                folders.append(
                    ExportedFolder(place, own, written.exported, dict(sorted((files | written.planned).items())))
                )
                notes.extend(written.notes)
            exported = tuple(item for each in folders for item in each.languages)
            if folder_per_language:
                _write_mark(Path(staging), name, exported, left_out)
        size = 0 if dry_run else sum(path.stat().st_size for path in target.folder.rglob("*") if path.is_file())
        return ExportReport(target.folder, exported, size, tuple(store.damaged), left_out, tuple(folders), tuple(notes))


def repository_of(repository: str, language: str | None) -> str:
    """Return the repository of a folder: a language's own folder goes to `OWNER/NAME-LANG`."""
    return repository if language is None else f"{repository}-{language}"


def _write_mark(
    folder: Path, base_name: str, exported: Sequence[ExportedLanguage], left_out: Mapping[str, str]
) -> None:
    languages = [dataclasses.asdict(item) for item in exported]
    mark = {"schema": 1, "base": base_name, "languages": languages, "left_out": dict(left_out)}
    (folder / EXPORT_MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _fitting(
    choice: ExportChoice, languages: Sequence[str], config: Any, base_name: str
) -> Iterator[tuple[Snapshot, ExportedLanguage]]:
    """Yield one language at a time, so that a thousand adapters need not be in memory together."""
    layers, hidden = (config.num_hidden_layers, config.hidden_size) if config else (None, None)
    dim = None
    for language in languages:
        snapshot, used = choice.load(language)
        try:
            shape = check_adapter(snapshot.adapter, layers=layers, hidden=hidden, dim=dim)
        except AdapterMismatch as problem:
            leave_out = "leave it out with --languages"
            raise CheckpointError(
                f"the adapter of {language} (step {snapshot.step}) does not fit the base {base_name} and the "
                f"previous languages: {problem.found}",
                fix=leave_out if problem.fix is None else f"{problem.fix}, or {leave_out}",
            ) from problem
        layers, hidden, dim = shape.layers, shape.hidden, shape.dim
        yield snapshot, _describe(snapshot, used, shape, choice.marks.get(language))


def _told(
    described: Iterator[tuple[Snapshot, ExportedLanguage]], total: int, on_language: Callable[[str, int, int], None]
) -> Iterator[tuple[Snapshot, ExportedLanguage]]:
    for done, item in enumerate(described):
        on_language(item[1].language, done, total)
        yield item


def _describe(snapshot: Snapshot, used: str, shape: AdapterShape, mark: QuarantineMark | None) -> ExportedLanguage:
    """Describe an exported language. A snapshot stores the best scores so far, which are its own only at that step."""
    best = snapshot.state.get("best")
    own = best if isinstance(best, dict) and best.get("step") == snapshot.step else {}
    return ExportedLanguage(
        language=snapshot.language,
        step=snapshot.step,
        pointer=used,
        cer=_number(own.get("cer")),
        wer=_number(own.get("wer")),
        audio_seconds=_number(snapshot.state.get("audio_seconds")),
        vocabulary_size=shape.vocabulary_size,
        bytes=sum(tensor.numel() for tensor in snapshot.adapter.values()) * torch.float32.itemsize,
        quarantined=mark.line if mark else None,
    )


def _number(value: Any) -> float | None:
    """A number from the stored state, or None; another version may have written something else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
