"""The utterances that a language is trained on, and the stream of its optimizer batches."""

from collections.abc import Collection

import numpy as np

from mms_dist.config import Config, Data
from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.language_balance import LanguageBalance
from mms_dist.data.randomness import order_generator
from mms_dist.data.stream import LanguageStream
from shards.flags.names import FLAGS_COLUMN
from shards.index import LanguageIndex, SampleTable
from shards.index.groups import numbered
from shards.schema import SAMPLE_RATE


def training_stream(config: Config, index: LanguageIndex) -> LanguageStream:
    """Return the stream of the language's optimizer batches.

    It takes the whole configuration: a language's settings are the run's sections with its overrides applied.
    """
    language, settings = index.language, config.for_language(index.language)
    table = training_table(config, index)
    balance = LanguageBalance.of(settings.balance, index, table, seed=config.run.seed)
    return LanguageStream(
        table,
        language=language,
        seed=config.run.seed,
        batch_seconds=settings.optim.batch_seconds,
        window_shards=config.data.window_shards,
        augmentation=RecordingAugmentation.of(settings.augment, language=language, seed=config.run.seed),
        selection=balance.selection,
        weights=balance.weights,
    )


def training_table(config: Config, index: LanguageIndex) -> SampleTable:
    """Return the utterances that a language is trained on.

    It takes the whole configuration: a language's settings are the run's sections with its overrides applied.
    """
    table = unflagged(trainable(index.table("train"), config.data), index, config.data.leave_out_flagged)
    max_hours = config.for_language(index.language).balance.max_hours
    return table if max_hours is None else within_hours(table, max_hours, config.run.seed, index.language)


def within_hours(table: SampleTable, max_hours: float, seed: int, language: str) -> SampleTable:
    """Select at most `max_hours` of audio: the first that fit, in an order that depends on seed and language only."""
    order_N = np.argsort(order_generator(seed, language, "max hours").random_raw(len(table)), kind="stable")
    fits_N = np.cumsum(table.samples[order_N], dtype=np.int64) <= max_hours * 3600 * SAMPLE_RATE
    return table if fits_N.all() else table.select(np.sort(order_N[fits_N]))


def unflagged(table: SampleTable, index: LanguageIndex, flags: Collection[str]) -> SampleTable:
    """Select the training utterances in `table`, a selection of the split's table, that have none of these flags.

    Raises:
        MissingColumnError: the sample table has no flags.
    """
    if not flags:
        return table
    values, number_N = numbered(index.later_column("train", FLAGS_COLUMN)[table.rows])
    is_kept = np.array([not set(value.split(",")) & set(flags) for value in values], dtype=bool)
    return table if is_kept.all() else table.select(is_kept[number_N])


def trainable(table: SampleTable, data: Data) -> SampleTable:
    """Select utterances whose transcript fits their frames, and that `max_seconds` and `min_align_score` allow.

    Utterances whose score is not known are kept. In shards built by this project every transcript fits; in others that
    may not be so.
    """
    keep = (table.label_length > 0) & (table.frames >= table.required_frames)
    if data.max_seconds is not None:
        keep &= table.durations <= data.max_seconds
    if data.min_align_score is not None:
        keep &= ~(table.align_score < data.min_align_score)  # false for NaN
    return table if keep.all() else table.select(keep)
