"""The languages of a run and what each brings, checked before anything is loaded or written."""

from collections.abc import Callable
from dataclasses import dataclass

from mms_dist.config import Config
from mms_dist.distributed.placement import Work
from mms_dist.errors import ConfigError, DataError
from mms_dist.monitor.report import LanguagePlan
from mms_dist.training.selection import trainable
from shards.index import ShardIndex
from shards.read import ShardReader


@dataclass(frozen=True)
class LanguageSummary:
    """One language before training: what can be trained on, and for how long."""

    language: str
    utterances: int
    seconds: float
    left_out: int
    vocabulary_size: int
    steps: int
    batch_seconds: float

    def plan(self) -> LanguagePlan:
        return LanguagePlan(self.language, self.steps, self.utterances, self.seconds)

    @property
    def work(self) -> Work:
        """What a round of it costs, and into how many shares its batch can be cut.

        As asked for, and not as its epoch happens to be cut: single batches differ by more, and languages that cost
        the same need not be shared to be even.
        """
        seconds = min(self.batch_seconds, self.seconds)
        return Work(self.language, seconds, max(1, round(self.utterances * seconds / self.seconds)))

    def work_seconds(self, steps_done: int = 0) -> float:
        """Audio it has yet to train on; an optimizer batch is at most all that the language has."""
        return max(0, self.steps - steps_done) * min(self.batch_seconds, self.seconds)


def summarise_languages(
    config: Config, tell: Callable[[str], None] = lambda doing: None
) -> tuple[ShardIndex, list[LanguageSummary]]:
    """The index of the run's shards, and the languages by code. `tell` hears of each before it is read.

    Raises:
        ConfigError: the configuration speaks of languages that the run does not train.
        DataError: a language has nothing to train on.
        ShardsError: shards are missing, or a shard is not as long as its index says.
    """
    index = ShardIndex.load(config.data.shards, config.data.languages)
    unknown_languages = sorted(set(config.languages) - set(index.languages))
    if unknown_languages:
        raise ConfigError(
            f"languages.{unknown_languages[0]} has settings of its own, but the run trains "
            f"{', '.join(index.languages)}",
            fix="correct the code, or add it to data.languages and the shards",
        )
    reader = ShardReader(index)
    try:
        summaries = []
        for language in index.languages:
            tell(f"reading the index of {language}")
            summaries.append(_entry(config, index, reader, language))
            index.language(language).forget()
    finally:
        reader.close()
    return index, summaries


def _entry(config: Config, index: ShardIndex, reader: ShardReader, language: str) -> LanguageSummary:
    for split in index.language(language).splits:
        reader.check_sizes(language, split)
    whole = index.language(language).table("train")
    table = trainable(whole, max_seconds=config.data.max_seconds)
    if len(table) == 0:
        raise DataError(
            f"{language} has {len(whole)} training utterances, and none that can be trained on",
            fix=(
                f"look at `mms-dist shards inspect {config.data.shards}`, raise data.max_seconds, or leave the "
                "language out with data.languages"
            ),
        )
    optim = config.for_language(language).optim
    return LanguageSummary(
        language=language,
        utterances=len(table),
        seconds=float(table.durations.sum()),
        left_out=len(whole) - len(table),
        vocabulary_size=len(index.language(language).vocabulary),
        steps=optim.steps,
        batch_seconds=optim.batch_seconds,
    )
