"""The utterances that a language is trained on, and the stream of its optimizer batches."""

from mms_dist.config import Config
from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.stream import LanguageStream
from shards.index import LanguageIndex, SampleTable


def training_stream(config: Config, index: LanguageIndex) -> LanguageStream:
    """Return the stream of the language's optimizer batches.

    It takes the whole configuration: a language's settings are the run's sections with its overrides applied.
    """
    language, settings = index.language, config.for_language(index.language)
    return LanguageStream(
        trainable(index.table("train"), max_seconds=config.data.max_seconds),
        language=language,
        seed=config.run.seed,
        batch_seconds=settings.optim.batch_seconds,
        window_shards=config.data.window_shards,
        augmentation=RecordingAugmentation.of(settings.augment, language=language, seed=config.run.seed),
    )


def trainable(table: SampleTable, *, max_seconds: float | None) -> SampleTable:
    """Select utterances whose transcript fits their frames and that are at most `max_seconds` long.

    In shards built by this project every transcript fits; in others that may not be so.
    """
    keep = (table.label_length > 0) & (table.frames >= table.required_frames)
    if max_seconds is not None:
        keep &= table.durations <= max_seconds
    return table if keep.all() else table.select(keep)
