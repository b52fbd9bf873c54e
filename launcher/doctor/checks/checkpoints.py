"""Check from their headers that the run can resume from its checkpoints. Training reads and verifies them in full."""

import json
from collections.abc import Iterator
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.checkpoint.adapter_file import adapter_filename
from mms_dist.checkpoint.folder import STATE, VOCABULARY, folder_name
from mms_dist.checkpoint.language_folder import LanguageFolder
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.model.base_weights import safetensors_table
from mms_dist.model.layout import HEAD_WEIGHT, RowLayout
from mms_dist.run_directory.quarantine_mark import QUARANTINE_NAME, read_mark
from shards.index import ShardIndex


def look(context: Context, notes: Notes) -> None:
    """Compare each language's newest checkpoint with the current base, adapter.dim and vocabulary."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        notes.skip("needs the configuration, the base and the shards")
        return
    adapters = Path(config.run.directory) / "adapters"
    marks = {entry.language: read_mark(adapters, entry.language) for entry in context.languages}
    for language, mark in marks.items():
        if mark is not None:
            notes.warn(
                f"{language} is in quarantine {mark.line}",
                f"fix the cause and remove {adapters / language / QUARANTINE_NAME}: {language} then resumes from its "
                "last good checkpoint. Otherwise the run skips it and ends incomplete",
            )
    found = {
        entry.language: adapters / entry.language / folder_name(step)
        for entry in context.languages
        if (step := LanguageFolder(adapters / entry.language).pointed("last")) is not None
    }
    if not found and not notes.of("warning"):
        notes.ok(f"none in {adapters}: every language starts from scratch")
    if not found:
        return
    layout = RowLayout(shape.layers, shape.hidden, config.adapter.dim)
    index = ShardIndex.load(config.data.shards, list(found))
    for entry in context.languages:
        if (folder := found.get(entry.language)) is None:
            continue
        try:
            for problem in _mismatches(folder, entry, layout, index, context):
                notes.fail(*problem)
        except Exception as error:  # errors of safetensors, JSON and the system have no common base
            notes.warn(
                f"{folder} is damaged ({str(error).strip().splitlines()[0]})",
                "no action needed if the language has an older intact checkpoint: the run resumes from that",
            )
    resumed = sum(marks[language] is None for language in found)
    if not notes.of("failed"):
        notes.ok(f"{resumed:,} of {len(context.languages):,} languages resume from checkpoints in {adapters}")


def _mismatches(
    folder: Path, entry: LanguageSummary, layout: RowLayout, index: ShardIndex, context: Context
) -> Iterator[tuple[str, str]]:
    """Yield each reason why a checkpoint cannot be resumed in this run, and its fix."""
    assert context.config is not None
    which = f"the checkpoint of {entry.language} ({folder.name})"
    table = safetensors_table(folder / adapter_filename(entry.language))
    shapes = {name: weight.shape for name, weight in table.items()}
    first = next(name for name in layout.names() if name.endswith("layers.0.adapter_layer.linear_1.weight"))
    dim, hidden = shapes[first]
    layers = sum(name.endswith("adapter_layer.linear_1.weight") for name in shapes)
    if (layers, hidden, dim) != (layout.layers, layout.hidden, layout.dim):
        yield (
            f"{which} has {layers} layers of width {hidden} and adapter.dim {dim}, expected {layout.layers}, "
            f"{layout.hidden} and {layout.dim}",
            "set model.base and adapter.dim to the values it was trained with, or choose another run.directory",
        )
    tokens = index.language(entry.language).vocabulary.nested()
    if json.loads((folder / VOCABULARY).read_text(encoding="utf-8")) != tokens:
        yield (
            f"{which} has a vocabulary of {shapes[HEAD_WEIGHT][0]} tokens, but the shards have a different one of "
            f"{entry.vocabulary_size}",
            f"restore the shards it was trained on, or remove {folder.parent} to train it from scratch",
        )
    base = json.loads((folder / STATE).read_text(encoding="utf-8"))["state"]["base"]
    if context.loaded_base is not None and base != context.loaded_base:
        yield (
            f"{which} was trained on a base with different weights than {context.config.model.base}",
            "set model.base to the base it was trained on, or choose another run.directory",
        )
