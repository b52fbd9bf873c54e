"""How a run ends that nobody stopped: with every language trained, with some, or with none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.checkpoint.quarantine_mark import QUARANTINE_NAME
from mms_dist.errors import ExitCode
from mms_dist.training.attempts import RunState
from mms_dist.training.progress import FINISHED as FINISHED_LANGUAGE
from mms_dist.training.progress import Progress
from shards.index import ShardIndex

ALL_OF_THEM = "Where all are, it is seldom the data: see `mms-dist doctor --load`, or lower optim.lr"
NAMED = 5
"""Languages that are named with their reason; `mms-dist report` has all of them."""


@dataclass(frozen=True)
class Ending:
    """The run's state, its exit status, and why it is not `finished`."""

    state: str = RunState.FINISHED
    exit_code: int = 0
    reason: str | None = None
    quarantined: tuple[str, ...] = ()


def quarantine_line(progress: Progress) -> str:
    """Since when a language is in quarantine, and why."""
    return f"since step {progress.step:,}: {progress.reason}"


def is_unscored(progress: Progress, index: ShardIndex) -> bool:
    """Whether a language has ended without an error rate, although there are dev utterances to measure it on."""
    ended = progress.status == FINISHED_LANGUAGE and progress.best.cer is None
    return ended and index.language(progress.language).utterances("dev") > 0


def ending(languages: int, quarantined: Mapping[str, str], unscored: Sequence[str], directory: Path) -> Ending:
    """Conclude from the languages that are in quarantine, each with a `quarantine_line`, and from those that were
    trained to their end without one readable dev utterance to score them by."""
    if not quarantined and not unscored:
        return Ending()
    parts = []
    if quarantined:
        count = f"{len(quarantined):,} of {languages:,} {'language is' if languages == 1 else 'languages are'}"
        others = "The others are trained to their end" if len(quarantined) < languages else ALL_OF_THEM
        parts.append(
            f"{count} in quarantine: {_named(quarantined)}. {others}; look at `mms-dist report {directory}`, fix the "
            f"cause, and remove {directory / 'adapters'}/LANG/{QUARANTINE_NAME}: the same command then lets LANG go on "
            "from its last good checkpoint"
        )
    if unscored:
        names = ", ".join(unscored[:NAMED]) + (", …" if len(unscored) > NAMED else "")
        parts.append(
            f"{names}: none of the dev utterances could be read, so no error rate was measured and the best checkpoint "
            "is only the newest; `mms-dist shards verify` says what is wrong with them, and once that is fixed "
            f"`mms-dist eval {directory} --split dev` measures it"
        )
    state = RunState.FAILED if len(quarantined) == languages else RunState.INCOMPLETE
    return Ending(state, ExitCode.INCOMPLETE, "; ".join(parts), tuple(sorted(quarantined)))


def _named(quarantined: Mapping[str, str]) -> str:
    shown = [f"{code} ({quarantined[code]})" for code in sorted(quarantined)[:NAMED]]
    more = len(quarantined) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
