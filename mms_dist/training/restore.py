"""What the run directory holds, put together with what the configuration asks for."""

from dataclasses import dataclass

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.errors import CheckpointError
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.census import LanguageEntry
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED, Progress
from mms_dist.training.quarantine import read_quarantine, write_quarantine
from mms_dist.training.resume import plan_restart
from mms_dist.training.roster import Candidate, order_of_admission


@dataclass(frozen=True)
class Restored:
    """`round`: the last one that counts as done; `present`: languages of the next round; `ended`: how many are done."""

    round: int
    present: list[Progress]
    ended: int


def restore(
    config: Config, store: CheckpointStore, census: list[LanguageEntry], monitor: Monitor
) -> tuple[Restored, list[Candidate]]:
    """Find where every language of the run stands; the second result is the queue.

    A language of whose checkpoints none is whole is quarantined; the others do not wait for its mending.
    """
    entries = {entry.language: entry for entry in census}
    found = {language: progress for language in entries if (progress := _progress(store, language)) is not None}
    for damage in store.damaged:
        monitor.event("checkpoint_damaged", path=str(damage.path), reason=damage.reason)
    for language, progress in found.items():
        _reopen(progress, entries[language], monitor)
        if progress.status == QUARANTINED:
            monitor.event("quarantined", language=language, step=progress.step, reason=progress.reason)
    plan = plan_restart(found.values(), furthest_back=2 * config.checkpoint.every_rounds)
    fresh = order_of_admission(
        Candidate(language, entry.work_seconds()) for language, entry in entries.items() if language not in found
    )
    ended = sum(1 for progress in found.values() if progress.status != ACTIVE)
    later = [Candidate(progress.language, 0.0, progress) for progress in plan.later]
    return Restored(plan.round, plan.present, ended), [*later, *fresh]


def _progress(store: CheckpointStore, language: str) -> Progress | None:
    try:
        snapshot = store.newest(language)
    except CheckpointError as error:
        lost = Progress(language, status=QUARANTINED, reason=str(error))
        write_quarantine(store.directory, lost)
        return lost
    if snapshot is None:
        return None
    return read_quarantine(store.directory, language) or Progress.from_state(snapshot.state)


def _reopen(progress: Progress, entry: LanguageEntry, monitor: Monitor) -> None:
    """A language that had taken all its steps goes on when the configuration now gives it more."""
    if progress.status == FINISHED and progress.reason == "steps" and progress.step < entry.steps:
        progress.status, progress.reason = ACTIVE, None
        monitor.event(
            "reopened", language=progress.language, round=progress.round, step=progress.step, steps=entry.steps
        )
