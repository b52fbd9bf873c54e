"""The utterances that a language is trained on, and the stream of its optimizer batches."""

from mms_dist.config import Config, Data
from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.stream import LanguageStream
from shards.index import LanguageIndex, SampleTable


def training_stream(config: Config, index: LanguageIndex) -> LanguageStream:
    """Return the stream of the language's optimizer batches.

    It takes the whole configuration: a language's settings are the run's sections with its overrides applied.
    """
    language, settings = index.language, config.for_language(index.language)
    return LanguageStream(
        trainable(index.table("train"), config.data),
        language=language,
        seed=config.run.seed,
        batch_seconds=settings.optim.batch_seconds,
        window_shards=config.data.window_shards,
        augmentation=RecordingAugmentation.of(settings.augment, language=language, seed=config.run.seed),
    )


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
