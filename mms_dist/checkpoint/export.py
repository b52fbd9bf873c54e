"""Export a run to a folder that Hugging Face's `from_pretrained` and `load_adapter` read without a network.

config.json, model.safetensors                       the frozen base with the first language's adapter
adapter.<lang>.safetensors                           each language's adapter and head, float32
vocab.json, tokenizer_config.json, …                 nested: {lang: {token: id}}
preprocessor_config.json, processor_config.json
README.md, mms-dist-export.json                      the model card, and the same data for programs
tuned.json                                           the weights of language models that were tuned for the run
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mms_dist.checkpoint.adapter_file import AdapterMismatch, adapter_filename, check_adapter, write_adapter
from mms_dist.checkpoint.choice import ExportChoice
from mms_dist.checkpoint.export_destination import EXPORT_MARK, Destination
from mms_dist.checkpoint.hugging_face import load_base_config, write_base, write_processor, write_vocabulary
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.model_card import ExportedLanguage, base_licence, model_card
from mms_dist.checkpoint.snapshot import Damage, Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError
from mms_dist.model.adapter import AdapterShape
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark
from mms_dist.run_directory.tuned_weights import TunedWeights


@dataclass(frozen=True)
class ExportReport:
    """The result of an export: the folder, its languages, its size (0 for a dry run), and damaged checkpoints found.

    `left_out`: the languages that are in quarantine or untrained, each with the reason.
    """

    folder: Path
    languages: tuple[ExportedLanguage, ...]
    bytes: int
    damaged: tuple[Damage, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def export_run(
    run_directory: Path,
    destination: Path | None = None,
    *,
    base_path: str,
    base_name: str | None = None,
    languages: Sequence[str] | None = None,
    pointer: PointerName = "best",
    dtype: str | None = None,
    adapters_only: bool = False,
    force: bool = False,
    dry_run: bool = False,
    include_quarantined: bool = False,
    start_is_trained: Callable[[str], bool] = lambda language: False,
) -> ExportReport:
    """Export a run's languages. The folder appears complete or not at all; the run is not modified.

    A language in quarantine is left out unless `include_quarantined` is set. A language without a training step is
    always left out, because its adapter is still random.

    Args:
        destination: RUN/export by default. An earlier export there is replaced.
        base_path: folder or Hub name of the base the run was trained on.
        base_name: the base's name in the model card; by default the name of its folder or on the Hub.
        languages: None exports all languages that have a checkpoint.
        pointer: which checkpoint to export. A language that was never evaluated has no `best`; its `last` is exported
            instead, and the report and the card say so.
        dtype: dtype of the base's weights, a key of `hugging_face.DTYPES`; None keeps the base's own.
        adapters_only: leave out the base, tokenizer and preprocessor; the base is then not needed.
        force: rename an existing folder that is not an export.
        dry_run: read and check everything, but write nothing.
        include_quarantined: also export languages in quarantine, from their last good checkpoints.
        start_is_trained: whether a language started from an adapter and head trained elsewhere for it, so that its
            start may be its best checkpoint.

    Raises:
        NothingToExport: every language is in quarantine or untrained.
        CheckpointError: a language is unknown, or named but would be left out; no complete checkpoint exists; adapters
            do not fit the base or each other; or the destination cannot or must not be written.
        BaseModelError: the base cannot be loaded.
    """
    run_directory = Path(run_directory)
    local = Path(base_path).is_dir()
    target = Destination(
        RunPaths(run_directory).export if destination is None else Path(destination),
        force=force,
        protected=[run_directory, *([Path(base_path)] if local else [])],
        inside=[RunPaths(run_directory).adapters],
    )
    config = None if adapters_only else load_base_config(base_path)
    name = base_name or (Path(base_path).name if local else base_path)
    with CheckpointStore(RunPaths(run_directory).adapters, keep=1) as store:
        choice = ExportChoice(store, pointer, include_quarantined, start_is_trained)
        chosen, left_out = choice.select(languages)
        snapshots = _fitting(choice, chosen, config, name)
        if dry_run:
            exported = tuple(item for _, item in snapshots)
            return ExportReport(target.folder, exported, 0, tuple(store.damaged), left_out)
        with target.staging() as staging:
            exported = _write(
                staging,
                snapshots,
                config,
                base_path=base_path,
                base_name=name,
                dtype=dtype,
                adapters_only=adapters_only,
                left_out=left_out,
            )
            tuned = TunedWeights(RunPaths(run_directory).evaluations)
            tuned.copy([item.language for item in exported], staging)
        size = sum(path.stat().st_size for path in target.folder.rglob("*") if path.is_file())
        return ExportReport(target.folder, exported, size, tuple(store.damaged), left_out)


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


def _write(
    folder: Path,
    snapshots: Iterator[tuple[Snapshot, ExportedLanguage]],
    config: Any,
    *,
    base_path: str,
    base_name: str,
    dtype: str | None,
    adapters_only: bool,
    left_out: Mapping[str, str],
) -> tuple[ExportedLanguage, ...]:
    exported: list[ExportedLanguage] = []
    vocabulary: dict[str, dict[str, int]] = {}
    first: dict[str, torch.Tensor] = {}
    for snapshot, item in snapshots:
        adapter = {name: tensor.float() for name, tensor in snapshot.adapter.items()}
        write_adapter(folder / adapter_filename(item.language), adapter)
        vocabulary |= snapshot.vocabulary
        exported.append(item)
        first = first or adapter
    shape = check_adapter(first)
    if adapters_only:
        write_vocabulary(folder, vocabulary)
    else:
        write_base(folder, base_path, config, first, shape, dtype)
        write_processor(folder, vocabulary, exported[0].language)
    licence = base_licence(base_path)
    card = model_card(exported, base=base_name, licence=licence, dim=shape.dim, adapters_only=adapters_only)
    (folder / "README.md").write_text(card, encoding="utf-8")
    languages = [dataclasses.asdict(item) for item in exported]
    mark = {"schema": 1, "base": base_name, "languages": languages, "left_out": dict(left_out)}
    (folder / EXPORT_MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    return tuple(exported)
