"""Cut the user's configuration to a few languages, utterances and rounds; leave everything else unchanged."""

from collections.abc import Sequence
from pathlib import Path

from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.errors import ConfigError
from mms_dist.training.trial import shorten

MOST_LANGUAGES = 5
"""Number of languages if none are named: enough for every check, few enough to read."""


def choose_languages(asked: Sequence[str] | None, summaries: Sequence[LanguageSummary]) -> list[str]:
    """Return the requested languages, or the first few of the run.

    Raises:
        ConfigError: a requested language is not in the run.
    """
    present = [entry.language for entry in summaries]
    unknown_languages = sorted(set(asked or ()) - set(present))
    if unknown_languages:
        raise ConfigError(
            f"--languages names {unknown_languages[0]!r}, which the run does not train",
            fix=f"choose from {', '.join(present)}",
        )
    return sorted(set(asked)) if asked else present[:MOST_LANGUAGES]


def cut(
    config: Config, summaries: Sequence[LanguageSummary], *, directory: Path, utterances: int, rounds: int
) -> Config:
    """Cut to the languages of `summaries`, about `utterances` per batch, and `rounds` rounds."""
    return shorten(
        config,
        [entry.language for entry in summaries],
        directory=directory,
        rounds=rounds,
        dev_utterances=utterances,
        batch_seconds={
            entry.language: min(entry.batch_seconds, utterances * entry.seconds / entry.utterances)
            for entry in summaries
        },
    )
