"""Summarise the languages of a run and check them, before anything is loaded or written."""

from collections.abc import Callable
from dataclasses import dataclass

from mms_dist.config import Config
from mms_dist.data.language_balance import BalanceSummary, LanguageBalance
from mms_dist.data.training_stream import trainable, training_table, unflagged
from mms_dist.errors import ConfigError, DataError
from shards.index import ShardIndex
from shards.read import ShardReader


@dataclass(frozen=True)
class Work:
    """A language's work in a round, by which it is placed on ranks.

    `seconds` is the audio of one optimizer batch, which is its cost per round. `most_owners` is the number of shares
    the batch can be split into: its number of utterances.
    """

    language: str
    seconds: float
    most_owners: int = 1 << 30


@dataclass(frozen=True, kw_only=True)
class LanguageSummary:
    """One language before training: its usable data and its number of steps."""

    language: str
    utterances: int
    seconds: float
    left_out: int
    vocabulary_size: int
    steps: int
    batch_seconds: float
    flagged: int = 0
    """Utterances that `data.leave_out_flagged` leaves out."""
    beyond_hours: int = 0
    """Utterances that `balance.max_hours` leaves out."""
    balance: BalanceSummary | None = None
    """None: no group is balanced."""
    priority: int = 0
    """As in the section `balance`."""

    @property
    def epoch_seconds(self) -> float:
        """Audio of an average epoch."""
        return self.seconds if self.balance is None else self.balance.epoch_seconds

    @property
    def work(self) -> Work:
        """The cost of one of its rounds, and the number of shares its batch can be cut into.

        Computed from the configured batch size, not from the actual batches of an epoch: single batches vary by more
        than the difference, and languages of equal cost do not have to be shared to balance the load.
        """
        seconds = min(self.batch_seconds, self.epoch_seconds)
        return Work(self.language, seconds, max(1, round(self.utterances * seconds / self.seconds)))

    def work_seconds(self, steps_done: int = 0) -> float:
        """Return the seconds of audio left to train on; an optimizer batch is at most all audio of an epoch."""
        return max(0, self.steps - steps_done) * min(self.batch_seconds, self.epoch_seconds)


def summarise_languages(
    config: Config, on_progress: Callable[[str], None] = lambda doing: None
) -> tuple[ShardIndex, list[LanguageSummary]]:
    """Load the index of the run's shards and summarise its languages, sorted by code.

    It takes the whole configuration because a language may override any section.

    Args:
        on_progress: called with a description before each language is read.

    Raises:
        ConfigError: the configuration has settings for a language that the run does not train.
        DataError: a language has no usable training utterance.
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
            on_progress(f"reading the index of {language}")
            summaries.append(_summary(config, index, reader, language))
            index.language(language).forget()
    finally:
        reader.close()
    return index, summaries


def _summary(config: Config, index: ShardIndex, reader: ShardReader, language: str) -> LanguageSummary:
    for split in index.language(language).splits:
        reader.check_sizes(language, split)
    whole = index.language(language).table("train")
    settings = config.for_language(language)
    fitting = trainable(whole, config.data)
    usable = len(unflagged(fitting, index.language(language), config.data.leave_out_flagged))
    table = training_table(config, index.language(language))
    if usable and len(table) == 0:
        raise DataError(
            f"{language}: balance.max_hours {settings.balance.max_hours:g} is less than one utterance",
            fix=f"raise balance.max_hours or languages.{language}.balance.max_hours",
        )
    if len(table) == 0:
        raise DataError(
            f"{language} has {len(whole)} training utterances, but none that can be trained on",
            fix=(
                f"look at `mms-dist shards inspect {config.data.shards}`, raise data.max_seconds, lower "
                "data.min_align_score, shorten data.leave_out_flagged, or leave the language out with data.languages"
            ),
        )
    balance = LanguageBalance.of(settings.balance, index.language(language), table, seed=config.run.seed)
    return LanguageSummary(
        language=language,
        utterances=len(table),
        seconds=float(table.durations.sum()),
        left_out=len(whole) - len(fitting),
        flagged=len(fitting) - usable,
        vocabulary_size=len(index.language(language).vocabulary),
        steps=settings.optim.steps,
        batch_seconds=settings.optim.batch_seconds,
        beyond_hours=usable - len(table),
        balance=balance.summary,
        priority=settings.balance.priority,
    )
