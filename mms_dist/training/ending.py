"""The end of a run that was not stopped: all, some or none of its languages finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mms_dist.errors import ExitCode, TrainingError
from mms_dist.run_directory.paths import QUARANTINE_NAME, RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark
from mms_dist.run_directory.status_file import RunState
from mms_dist.training.progress import FINISHED, Progress
from shards.index import ShardIndex

NAMED = 5
"""Number of languages listed with their reason; `mms-dist report` lists all of them."""


@dataclass(frozen=True)
class Ending:
    """The end of a run.

    Attributes:
        languages: number of languages of the run.
        quarantined: languages in quarantine.
        unscored: languages that finished training, but had no readable dev utterance.
    """

    directory: Path
    languages: int
    quarantined: Mapping[str, QuarantineMark] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()

    @property
    def state(self) -> RunState:
        if len(self.quarantined) == self.languages:
            return RunState.FAILED
        return RunState.INCOMPLETE if self.quarantined or self.unscored else RunState.FINISHED

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DONE if self.state == RunState.FINISHED else ExitCode.INCOMPLETE

    @property
    def reason(self) -> str | None:
        """Why the state is not `finished`, as text for the run's files; None if it is."""
        return "; ".join(map(str, self.problems())) or None

    def problems(self) -> list[TrainingError]:
        """The problems that keep the run from being finished, each with its fix."""
        problems = []
        if self.quarantined:
            count = f"{len(self.quarantined):,} of {self.languages:,}"
            verb = "language is" if self.languages == 1 else "languages are"
            problems.append(
                TrainingError(
                    f"{count} {verb} in quarantine: {_listed(self.quarantined)}. {self._others()}",
                    fix=f"look at `mms-dist report {self.directory}`, fix the cause, remove "
                    f"{RunPaths(self.directory).adapters}/LANG/{QUARANTINE_NAME}, and run the same command again: LANG "
                    "then continues from its last good checkpoint",
                )
            )
        if self.unscored:
            names = ", ".join(self.unscored[:NAMED]) + (", …" if len(self.unscored) > NAMED else "")
            problems.append(
                TrainingError(
                    f"{names}: none of the dev utterances could be read, so there is no error rate and the newest "
                    "checkpoint counts as the best",
                    fix="`mms-dist shards verify` lists the damage; once it is fixed, measure the error rate with "
                    f"`mms-dist eval {self.directory} --split dev`",
                )
            )
        return problems

    def _others(self) -> str:
        if len(self.quarantined) < self.languages:
            return "The others finished training"
        return "If all languages are, the data is rarely the cause: run `mms-dist doctor --load`, or lower optim.lr"


def is_unscored(progress: Progress, index: ShardIndex) -> bool:
    """Return whether a language has ended without an error rate although it has dev utterances."""
    ended = progress.status == FINISHED and progress.best.cer is None
    return ended and index.language(progress.language).utterances("dev") > 0


def _listed(quarantined: Mapping[str, QuarantineMark]) -> str:
    shown = [f"{code} ({quarantined[code].line})" for code in sorted(quarantined)[:NAMED]]
    more = len(quarantined) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
