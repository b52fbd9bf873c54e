"""Check that the adapter files that languages start from fit the base and the vocabularies."""

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed_with, not_checked, ok
from mms_dist.checkpoint.initial_adapters import InitialAdapters
from mms_dist.errors import MmsDistError
from mms_dist.model.adapter import SCHEMES, RowLayout
from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.wording import counted


def check(context: Context) -> Findings:
    """Read every adapter file. Initialisation schemes need no file."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        yield not_checked("needs the configuration, the base and the shards")
        return
    initial = InitialAdapters(RowLayout(shape.layers, shape.hidden, config.adapter.dim), config.run.seed)
    starts = {entry.language: config.for_language(entry.language).adapter.init for entry in context.languages}
    from_files = {language: init for language, init in starts.items() if init not in SCHEMES}
    index = ShardIndex.load(config.data.shards, list(from_files)) if from_files else None
    failures, mapped = 0, 0
    for language, init in from_files.items():
        assert index is not None
        try:
            mapped += initial.create(init, index.language(language).vocabulary).mapped is not None
        except (MmsDistError, ShardsError) as error:
            failures += 1
            yield failed_with(error)
    if not failures:
        schemes = sorted(set(starts.values()) & SCHEMES.keys())
        parts = [f"{', '.join(schemes)} for {counted(len(starts) - len(from_files), 'language')}"] if schemes else []
        heads = (
            [f"heads of {counted(mapped, 'language')} mapped by character from another vocabulary"] if mapped else []
        )
        yield ok(
            "; ".join([*parts, *([f"files for {counted(len(from_files), 'language')}"] if from_files else []), *heads])
        )
