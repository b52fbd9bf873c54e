"""Check that the adapter files that languages start from fit the base and the vocabularies."""

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.checkpoint.initial_adapters import InitialAdapters
from mms_dist.errors import MmsDistError
from mms_dist.model.initial import SCHEMES
from mms_dist.model.layout import RowLayout
from shards.errors import ShardsError
from shards.index import ShardIndex


def look(context: Context, notes: Notes) -> None:
    """Read every adapter file. Initialisation schemes need no file."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        notes.skip("needs the configuration, the base and the shards")
        return
    initial = InitialAdapters(RowLayout(shape.layers, shape.hidden, config.adapter.dim), config.run.seed)
    starts = {entry.language: config.for_language(entry.language).adapter.init for entry in context.languages}
    from_files = {language: init for language, init in starts.items() if init not in SCHEMES}
    index = ShardIndex.load(config.data.shards, list(from_files)) if from_files else None
    for language, init in from_files.items():
        assert index is not None
        try:
            initial.tensors(init, index.language(language).vocabulary)
        except (MmsDistError, ShardsError) as error:
            notes.error(error)
    if not notes.of("failed"):
        schemes = sorted(set(starts.values()) & SCHEMES.keys())
        parts = [f"{', '.join(schemes)} for {_languages(len(starts) - len(from_files))}"] if schemes else []
        notes.ok("; ".join([*parts, *([f"files for {_languages(len(from_files))}"] if from_files else [])]))


def _languages(count: int) -> str:
    return "1 language" if count == 1 else f"{count:,} languages"
