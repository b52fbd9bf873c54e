"""Decide the final state of a run that was not stopped: all, some or none of its languages finished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.errors import ExitCode
from mms_dist.run_directory.quarantine_mark import QUARANTINE_NAME
from mms_dist.run_directory.status_file import RunState
from mms_dist.training.progress import FINISHED as FINISHED_LANGUAGE
from mms_dist.training.progress import Progress
from shards.index import ShardIndex

ALL_OF_THEM = "If all languages are, the data is rarely the cause: run `mms-dist doctor --load`, or lower optim.lr"
NAMED = 5
"""Number of languages listed with their reason; `mms-dist report` lists all of them."""


@dataclass(frozen=True)
class Ending:
    """The run's final state, its exit code, and the reason if it is not `finished`."""

    state: str = RunState.FINISHED
    exit_code: int = 0
    reason: str | None = None
    quarantined: tuple[str, ...] = ()


def quarantine_line(progress: Progress) -> str:
    """Describe when and why a language was quarantined."""
    return f"since step {progress.step:,}: {progress.reason}"


def is_unscored(progress: Progress, index: ShardIndex) -> bool:
    """Return whether a language has ended without an error rate although it has dev utterances."""
    ended = progress.status == FINISHED_LANGUAGE and progress.best.cer is None
    return ended and index.language(progress.language).utterances("dev") > 0


def ending(languages: int, quarantined: Mapping[str, str], unscored: Sequence[str], directory: Path) -> Ending:
    """Decide the final state of a run.

    Args:
        languages: number of languages of the run.
        quarantined: languages in quarantine, each with its `quarantine_line`.
        unscored: languages that finished training, but had no readable dev utterance.
    """
    if not quarantined and not unscored:
        return Ending()
    parts = []
    if quarantined:
        count = f"{len(quarantined):,} of {languages:,} {'language is' if languages == 1 else 'languages are'}"
        others = "The others finished training" if len(quarantined) < languages else ALL_OF_THEM
        parts.append(
            f"{count} in quarantine: {_listed(quarantined)}. {others}; look at `mms-dist report {directory}`, fix the "
            f"cause, remove {directory / 'adapters'}/LANG/{QUARANTINE_NAME}, and run the same command again: LANG then "
            "continues from its last good checkpoint"
        )
    if unscored:
        names = ", ".join(unscored[:NAMED]) + (", …" if len(unscored) > NAMED else "")
        parts.append(
            f"{names}: none of the dev utterances could be read, so there is no error rate and the newest checkpoint "
            "counts as the best; `mms-dist shards verify` lists the damage; once it is fixed, measure the error rate "
            f"with `mms-dist eval {directory} --split dev`"
        )
    state = RunState.FAILED if len(quarantined) == languages else RunState.INCOMPLETE
    return Ending(state, ExitCode.INCOMPLETE, "; ".join(parts), tuple(sorted(quarantined)))


def _listed(quarantined: Mapping[str, str]) -> str:
    shown = [f"{code} ({quarantined[code]})" for code in sorted(quarantined)[:NAMED]]
    more = len(quarantined) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
