"""The stream of a language's optimizer batches, as the configuration describes it."""

from mms_dist.config import Config
from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.selection import trainable
from mms_dist.data.stream import LanguageStream
from shards.index import LanguageIndex


def training_stream(config: Config, index: LanguageIndex) -> LanguageStream:
    """Return the stream of the language's optimizer batches."""
    language, settings = index.language, config.for_language(index.language)
    return LanguageStream(
        trainable(index.table("train"), max_seconds=config.data.max_seconds),
        language=language,
        seed=config.run.seed,
        batch_seconds=settings.optim.batch_seconds,
        window_shards=config.data.window_shards,
        augmentation=RecordingAugmentation.of(settings.augment, language=language, seed=config.run.seed),
    )
