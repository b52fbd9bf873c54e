"""Cut the user's configuration to a few languages, utterances and rounds; leave everything else unchanged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.training.summaries import LanguageSummary

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
    """Cut to the languages of `summaries`, all of them active, about `utterances` per batch, and `rounds` rounds.

    Warm-up and early stopping are off: they have no meaning over so few steps.
    """
    own = {}
    for entry in summaries:
        changes = {name: dict(values) for name, values in config.languages.get(entry.language, {}).items()}
        seconds = min(entry.batch_seconds, utterances * entry.seconds / entry.utterances)
        changes["optim"] = changes.get("optim", {}) | {
            "steps": rounds,
            "warmup_steps": 0,
            "batch_seconds": seconds,
        }
        changes["stopping"] = changes.get("stopping", {}) | {"patience": None, "target_cer": None}
        own[entry.language] = changes
    return replace(
        config,
        run=replace(config.run, directory=str(directory)),
        data=replace(config.data, languages=tuple(own)),
        rounds=replace(config.rounds, slots=len(own)),
        evaluation=replace(config.evaluation, every_steps=rounds, max_utterances=utterances),
        checkpoint=replace(config.checkpoint, every_rounds=rounds),
        languages=own,
    )
