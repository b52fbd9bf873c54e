"""Restore a run: combine the checkpoints in the run directory with the configuration.

The only thing written is a quarantine mark for each language that has no intact checkpoint.

The run continues so that its result equals that of an uninterrupted run. Languages are saved one by one, so after a
kill their newest checkpoints may be of different rounds. Each language resumes from its own checkpoint; none is rolled
back. But the last bits of a forward pass depend on the shapes of its matrices, and those depend on which languages are
in the round. So the run restarts at the oldest of the rounds, and a language that is already further replays until the
others have caught up: its batches of those rounds are computed again, but its state does not change. (Its weights have
moved on since then. That does not matter, because no language's values enter another's, DESIGN I2.)

Rounds are numbered from 1; a checkpoint of round r holds the state after round r.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mms_dist.checkpoint.adapter_file import AdapterMismatch, check_adapter
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.data.training_stream import training_stream
from mms_dist.distributed.comm import Comm
from mms_dist.errors import CheckpointError, raise_all
from mms_dist.model.base import FrozenBase
from mms_dist.run_directory.paths import QUARANTINE_NAME, RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark, read_marked_progress, unreadable_mark, write_mark
from mms_dist.training.ending import is_unscored
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED, Progress
from mms_dist.training.random_changes import RandomChanges, random_change_events, random_changes
from mms_dist.training.report_collector import Event
from mms_dist.training.scheduler import QueuedLanguage, order_of_admission
from shards.index import ShardIndex


@dataclass(kw_only=True)
class Restored:
    """The point a run continues from.

    Attributes:
        round: last round that counts as done.
        present: languages that take part in the next round.
        queue: languages waiting behind them.
        ended: number of languages that have ended.
        steps: optimizer steps of all languages together.
        resumed: whether there was any checkpoint.
        quarantined: marks of the languages in quarantine.
        unscored: languages that ended without an error rate (see `training.ending`).
        notices: events to report once the monitor is open.
    """

    round: int = 0
    present: list[QueuedLanguage] = field(default_factory=list)
    queue: list[QueuedLanguage] = field(default_factory=list)
    ended: int = 0
    steps: int = 0
    resumed: bool = False
    quarantined: dict[str, QuarantineMark] = field(default_factory=dict)
    unscored: list[str] = field(default_factory=list)
    notices: list[Event] = field(default_factory=list)


def fresh_start(summaries: list[LanguageSummary]) -> Restored:
    """Return the starting point of a run that has no checkpoints."""
    return Restored(queue=order_of_admission(QueuedLanguage.of(entry) for entry in summaries))


def restore(
    config: Config,
    store: CheckpointStore,
    index: ShardIndex,
    summaries: list[LanguageSummary],
    base: FrozenBase,
    comm: Comm | None = None,
) -> Restored:
    """Read the checkpoint of every language and decide where the run continues.

    Each rank reads a part of the checkpoints and shares the results. A language without an intact checkpoint is
    quarantined; the others continue. Checkpoints are compared with settings of most sections, so this takes the whole
    configuration.

    Raises:
        CheckpointError: checkpoints were made with another base, adapter.dim or vocabulary; lists all of them.
        PeerError: another rank raised an error.
    """
    comm = comm or Comm()
    mine = summaries[comm.rank :: comm.world]
    shares = comm.all_gather(
        comm.run_on_all_ranks(lambda: _read_all(config, store, index, mine, base, comm.watchdog.mark))
    )
    raise_all(sorted((problem for share in shares for problem in share.problems), key=str))
    entries = {entry.language: entry for entry in summaries}
    found = {language: state for share in shares for language, state in share.found.items()}
    result = Restored(notices=[notice for share in shares for notice in share.notices])
    result.notices += random_change_events(
        {language: each for share in shares for language, each in share.random_changes.items()}
    )
    plan = plan_restart(
        (found[language].progress for language in sorted(found)), furthest_back=2 * config.checkpoint.every_rounds
    )

    def queued(progress: Progress) -> QueuedLanguage:
        entry, unchanged = entries[progress.language], found[progress.language].unchanged
        return QueuedLanguage.of(entry, progress, unchanged)

    fresh = order_of_admission(
        QueuedLanguage(entry.work, entry.work_seconds(), priority=entry.priority)
        for entry in summaries
        if entry.language not in found
    )
    result.round, result.resumed = plan.round, bool(found)
    result.present = [queued(progress) for progress in plan.present]
    result.queue = [*(queued(progress) for progress in plan.later), *fresh]
    result.ended = sum(1 for state in found.values() if state.progress.status != ACTIVE)
    states = [found[language].progress for language in sorted(found)]
    result.quarantined = {
        each.language: QuarantineMark(each.step, str(each.reason)) for each in states if each.status == QUARANTINED
    }
    result.unscored = [each.language for each in states if is_unscored(each, index)]
    result.steps = sum(state.progress.step for state in found.values())
    return result


@dataclass(frozen=True)
class Restart:
    """The round a run continues from, and its languages.

    Attributes:
        round: last round that counts as done.
        present: languages that take part in the next round.
        later: languages that had not been admitted at that point. They wait at the head of the queue, in the order of
            their first admission.
    """

    round: int
    present: list[Progress]
    later: list[Progress]


def plan_restart(found: Iterable[Progress], *, furthest_back: int) -> Restart:
    """Choose the round to continue from.

    Args:
        found: newest intact state of every language that has one.
        furthest_back: the run is not set back by more than this many rounds. A language whose checkpoint is older
            (its newer ones were damaged) continues at the chosen round, and no longer with the same languages. A
            kill alone loses at most two save intervals: the current one, and the one before it, whose checkpoint may
            not have been written yet (`CheckpointStore.save_later` queues at most one).
    """
    states = sorted(found, key=lambda progress: (progress.admitted_round, progress.language))
    open_rounds = [progress.round for progress in states if progress.status == ACTIVE]
    newest = max((progress.round for progress in states), default=0)
    restart = min((r for r in open_rounds if r >= newest - furthest_back), default=newest)
    for progress in states:
        if progress.status == ACTIVE and progress.round < restart:
            progress.admitted_round += restart - progress.round  # only the round numbers shift
            progress.round = restart
    present = [p for p in states if p.admitted_round <= restart and (p.status == ACTIVE or p.round > restart)]
    later = [p for p in states if p.admitted_round > restart]
    return Restart(restart, present, later)


@dataclass
class Found:
    """A language's progress, and whether its batches are still those it was trained on."""

    progress: Progress
    unchanged: bool = True


@dataclass
class CheckpointFindings:
    """The findings of one rank in its part of the checkpoints."""

    found: dict[str, Found] = field(default_factory=dict)
    problems: list[CheckpointError] = field(default_factory=list)
    notices: list[Event] = field(default_factory=list)
    random_changes: dict[str, RandomChanges] = field(default_factory=dict)


def _read_all(
    config: Config,
    store: CheckpointStore,
    index: ShardIndex,
    summaries: list[LanguageSummary],
    base: FrozenBase,
    mark: Callable[[str], None],
) -> CheckpointFindings:
    result = CheckpointFindings()
    for entry in summaries:
        mark(f"reading the checkpoint of {entry.language}")
        progress, snapshot = _read(store, entry.language, result)
        unchanged = True
        if snapshot is not None:
            result.problems += _mismatches(config, base, index, snapshot)
            stream = training_stream(config, index.language(entry.language))
            unchanged = snapshot.state.get("stream") == stream.fingerprint
            index.language(entry.language).forget()
        if progress is not None:
            result.found[entry.language] = Found(progress, unchanged)
            _apply_step_limit(progress, entry, result)
        if progress is not None and snapshot is not None and progress.status == ACTIVE:
            changes = random_changes(
                config.for_language(entry.language),
                config.evaluation.max_utterances,
                index.language(entry.language),
                snapshot.state,
                progress.step,
            )
            result.random_changes |= {entry.language: changes} if changes else {}
    result.notices += [
        Event("checkpoint_damaged", {"path": str(damage.path), "reason": damage.reason}) for damage in store.damaged
    ]
    return result


def read_quarantine(adapters: Path, language: str) -> Progress | None:
    """Read the progress of a language when it was quarantined; None if it is not.

    Raises:
        CheckpointError: the mark cannot be read.
    """
    values = read_marked_progress(adapters, language)
    try:
        return None if values is None else Progress.from_state(values)
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable_mark(adapters, language, error) from error


def _read(store: CheckpointStore, language: str, result: CheckpointFindings) -> tuple[Progress | None, Snapshot | None]:
    marked = read_quarantine(store.directory, language)
    try:
        snapshot = store.newest(language)
    except CheckpointError as error:
        if marked is None:
            mark = store.directory / language / QUARANTINE_NAME
            problem = CheckpointError(error.found, fix=f"{error.fix}; then remove {mark}")
            marked = Progress(language=language, status=QUARANTINED, reason=str(problem))
            write_mark(store.directory, language, marked.to_state())
            result.notices.append(Event("quarantined", {"language": language, "step": 0, "reason": str(problem)}))
        marked.round = marked.admitted_round = 0  # without weights it cannot replay
        return marked, None
    if snapshot is None:
        return None, None
    try:
        return marked or Progress.from_state(snapshot.state), snapshot
    except (KeyError, TypeError, ValueError) as error:
        result.problems.append(
            CheckpointError(
                f"the state of {language} (step {snapshot.step}) was not written by this version ({error!r})",
                fix=f"use the version that wrote it, or remove {store.directory / language} to train the language "
                "from scratch",
            )
        )
        return None, None


def _mismatches(config: Config, base: FrozenBase, index: ShardIndex, snapshot: Snapshot) -> Iterator[CheckpointError]:
    """Yield the reasons why this run cannot continue from a checkpoint."""
    code, which = snapshot.language, f"the checkpoint of {snapshot.language} (step {snapshot.step})"
    try:
        check_adapter(snapshot.adapter, layers=len(base.layers), hidden=base.hidden, dim=config.adapter.dim)
    except AdapterMismatch as problem:
        fixes = [*([problem.fix] if problem.fix else []), "choose another run.directory"]
        yield CheckpointError(f"{which} does not fit: {problem.found}", fix=", or ".join(fixes))
        return
    if snapshot.state.get("base") != base.weights_hash():
        yield CheckpointError(
            f"{which} was trained on a base whose weights differ from {config.model.base}",
            fix="set model.base to the base it was trained on, or choose another run.directory",
        )
    tokens = index.language(code).vocabulary.nested()
    if snapshot.vocabulary != tokens:
        yield CheckpointError(
            f"{which} has a vocabulary of {len(snapshot.vocabulary[code])} tokens, expected the {len(tokens[code])} "
            "tokens of the shards",
            fix="restore the shards it was trained on; or export the run and start another from it with adapter.init, "
            "which maps the head by character; or remove "
            f"{RunPaths(config.run.directory).adapters / code} to train the language from scratch",
        )


def _apply_step_limit(progress: Progress, entry: LanguageSummary, result: CheckpointFindings) -> None:
    """Reopen a finished language whose number of steps was raised; finish one that has reached a lowered number."""
    where = {"language": progress.language, "round": progress.round, "step": progress.step}
    if progress.status == FINISHED and progress.reason == "steps" and progress.step < entry.steps:
        progress.status, progress.reason = ACTIVE, None
        result.notices.append(Event("reopened", where | {"steps": entry.steps}))
    elif progress.status == ACTIVE and progress.step >= entry.steps:
        progress.status, progress.reason = FINISHED, "steps"
        result.notices.append(Event("finished", where | {"reason": "steps"}))
