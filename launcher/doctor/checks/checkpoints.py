"""Check from their headers that the run can resume from its checkpoints. Training reads and verifies them in full."""

import json
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, count_failures, failed, not_checked, ok, warning
from mms_dist.checkpoint.adapter_file import adapter_filename
from mms_dist.checkpoint.checkpoint_folder import folder_name
from mms_dist.checkpoint.language_folder import LanguageFolder
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.model.adapter import AdapterShape, RowLayout
from mms_dist.model.base_weights import safetensors_table
from mms_dist.run_directory.paths import QUARANTINE_NAME, STATE_NAME, VOCABULARY_NAME, RunPaths
from mms_dist.run_directory.quarantine import read_mark
from shards.errors import first_line
from shards.index import ShardIndex


def check(context: Context) -> Findings:
    """Compare each language's newest checkpoint with the current base, adapter.dim and vocabulary."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        yield not_checked("needs the configuration, the base and the shards")
        return
    adapters = RunPaths(config.run.directory).adapters
    marks = {entry.language: read_mark(adapters, entry.language) for entry in context.languages}
    for language, mark in marks.items():
        if mark is not None:
            yield warning(
                f"{language} is in quarantine {mark.line}",
                f"fix the cause and remove {adapters / language / QUARANTINE_NAME}: {language} then resumes from its "
                "last good checkpoint. Otherwise the run skips it and ends incomplete",
            )
    found = {
        entry.language: adapters / entry.language / folder_name(step)
        for entry in context.languages
        if (step := LanguageFolder(adapters / entry.language).pointed("last")) is not None
    }
    if not found and not any(marks.values()):
        yield ok(f"none in {adapters}: every language starts from scratch")
    if not found:
        return
    layout = RowLayout(shape.layers, shape.hidden, config.adapter.dim)
    index = ShardIndex.load(config.data.shards, list(found))
    failures = 0
    for entry in context.languages:
        if (folder := found.get(entry.language)) is None:
            continue
        try:
            failures += yield from count_failures(_mismatches(folder, entry, layout, index, context))
        except Exception as error:  # errors of safetensors, JSON and the system have no common base
            yield warning(
                f"{folder} is damaged ({first_line(error)})",
                "no action needed if the language has an older intact checkpoint: the run resumes from that",
            )
    resumed = sum(marks[language] is None for language in found)
    if not failures:
        yield ok(f"{resumed:,} of {len(context.languages):,} languages resume from checkpoints in {adapters}")


def _mismatches(
    folder: Path, entry: LanguageSummary, layout: RowLayout, index: ShardIndex, context: Context
) -> Findings:
    """Yield each reason why a checkpoint cannot be resumed in this run."""
    assert context.config is not None
    which = f"the checkpoint of {entry.language} ({folder.name})"
    table = safetensors_table(folder / adapter_filename(entry.language))
    shapes = {name: weight.shape for name, weight in table.items()}
    shape = AdapterShape.of(shapes)
    assert shape is not None, "an intact checkpoint holds an adapter"
    if (shape.layers, shape.hidden, shape.dim) != (layout.layers, layout.hidden, layout.dim):
        yield failed(
            f"{which} has {shape.layers} layers of width {shape.hidden} and adapter.dim {shape.dim}, expected "
            f"{layout.layers}, {layout.hidden} and {layout.dim}",
            "set model.base and adapter.dim to the values it was trained with, or choose another run.directory",
        )
    tokens = index.language(entry.language).vocabulary.nested()
    if json.loads((folder / VOCABULARY_NAME).read_text(encoding="utf-8")) != tokens:
        yield failed(
            f"{which} has a vocabulary of {shape.vocabulary_size} tokens, but the shards have a different one of "
            f"{entry.vocabulary_size}",
            f"restore the shards it was trained on, or remove {folder.parent} to train it from scratch",
        )
    base = json.loads((folder / STATE_NAME).read_text(encoding="utf-8"))["state"]["base"]
    if context.loaded_base is not None and base != context.loaded_base:
        yield failed(
            f"{which} was trained on a base with different weights than {context.config.model.base}",
            "set model.base to the base it was trained on, or choose another run.directory",
        )
