"""What the run directory holds, put together with what the configuration asks for.

Changes nothing there, but for marking a language of which no checkpoint is whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mms_dist.checkpoint.adapter_file import check_adapter
from mms_dist.checkpoint.quarantine_mark import QUARANTINE_NAME
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.distributed.comm import Comm
from mms_dist.errors import CheckpointError
from mms_dist.model.base import FrozenBase
from mms_dist.training.earlier_identity import Redrawn, notices, redrawn
from mms_dist.training.ending import is_unscored, quarantine_line
from mms_dist.training.language_slots import training_stream
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED, Progress
from mms_dist.training.quarantine import read_quarantine, write_quarantine
from mms_dist.training.resume import plan_restart
from mms_dist.training.scheduler import QueuedLanguage, order_of_admission
from mms_dist.training.summaries import LanguageSummary
from shards.index import ShardIndex


@dataclass
class Restored:
    """Where a run goes on.

    `round` is the last one that counts as done, `present` the languages of the next one, `queue` those behind them,
    `ended` how many are done, `quarantined` and `unscored` those of them that are not well (see
    `training.ending`), `steps` what all have taken together; `notices` are the events (kind and fields) to tell
    once there is someone to tell.
    """

    round: int = 0
    present: list[QueuedLanguage] = field(default_factory=list)
    queue: list[QueuedLanguage] = field(default_factory=list)
    ended: int = 0
    steps: int = 0
    resumed: bool = False
    quarantined: dict[str, str] = field(default_factory=dict)
    unscored: list[str] = field(default_factory=list)
    notices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def fresh_start(summaries: list[LanguageSummary]) -> Restored:
    """The start of a run that has no checkpoints."""
    return Restored(queue=order_of_admission(QueuedLanguage(entry.work, entry.work_seconds()) for entry in summaries))


def restore(
    config: Config,
    store: CheckpointStore,
    index: ShardIndex,
    summaries: list[LanguageSummary],
    base: FrozenBase,
    comm: Comm | None = None,
) -> Restored:
    """Find where every language of the run stands.

    The ranks read the checkpoints between them, and tell each other what they found. A language of whose checkpoints
    none is whole is quarantined; the others do not wait for its fixing.

    Raises:
        CheckpointError: checkpoints were made with another base, adapter.dim or vocabulary; names all of them.
        PeerError: another rank raises that.
    """
    comm = comm or Comm()
    mine = summaries[comm.rank :: comm.world]
    shares = comm.all_gather(
        comm.run_on_all_ranks(lambda: _read_all(config, store, index, mine, base, comm.watchdog.mark))
    )
    problems = [problem for share in shares for problem in share.problems]
    if problems:
        raise CheckpointError("; ".join(sorted(problems)))
    entries = {entry.language: entry for entry in summaries}
    found = {language: state for share in shares for language, state in share.found.items()}
    result = Restored(notices=[notice for share in shares for notice in share.notices])
    result.notices += notices({language: each for share in shares for language, each in share.redrawn.items()})
    plan = plan_restart(
        (found[language].progress for language in sorted(found)), furthest_back=2 * config.checkpoint.every_rounds
    )

    def queued(progress: Progress) -> QueuedLanguage:
        entry, unchanged = entries[progress.language], found[progress.language].unchanged
        return QueuedLanguage(entry.work, entry.work_seconds(progress.step), progress, unchanged)

    fresh = order_of_admission(
        QueuedLanguage(entry.work, entry.work_seconds()) for entry in summaries if entry.language not in found
    )
    result.round, result.resumed = plan.round, bool(found)
    result.present = [queued(progress) for progress in plan.present]
    result.queue = [*(queued(progress) for progress in plan.later), *fresh]
    result.ended = sum(1 for state in found.values() if state.progress.status != ACTIVE)
    states = [found[language].progress for language in sorted(found)]
    result.quarantined = {each.language: quarantine_line(each) for each in states if each.status == QUARANTINED}
    result.unscored = [each.language for each in states if is_unscored(each, index)]
    result.steps = sum(state.progress.step for state in found.values())
    return result


@dataclass
class Found:
    """A language's state, and whether its batches are still those that it was trained on."""

    progress: Progress
    unchanged: bool = True


@dataclass
class Reading:
    """What one rank found in the checkpoints it read."""

    found: dict[str, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    redrawn: dict[str, Redrawn] = field(default_factory=dict)


def _read_all(
    config: Config,
    store: CheckpointStore,
    index: ShardIndex,
    summaries: list[LanguageSummary],
    base: FrozenBase,
    tell: Callable[[str], None],
) -> Reading:
    result = Reading()
    for entry in summaries:
        tell(f"reading the checkpoint of {entry.language}")
        progress, snapshot = _read(store, entry.language, result)
        unchanged = True
        if snapshot is not None:
            result.problems += _misfits(config, base, index, snapshot)
            stream = training_stream(config, index.language(entry.language))
            unchanged = snapshot.state.get("stream") == stream.fingerprint
            index.language(entry.language).forget()
        if progress is not None:
            result.found[entry.language] = Found(progress, unchanged)
            _meet_the_steps(progress, entry, result)
        if progress is not None and snapshot is not None and progress.status == ACTIVE:
            changes = redrawn(config, index.language(entry.language), snapshot.state, progress.step)
            result.redrawn |= {entry.language: changes} if changes else {}
    result.notices += [
        ("checkpoint_damaged", {"path": str(damage.path), "reason": damage.reason}) for damage in store.damaged
    ]
    return result


def _read(store: CheckpointStore, language: str, result: Reading) -> tuple[Progress | None, Snapshot | None]:
    mark = read_quarantine(store.directory, language)
    try:
        snapshot = store.newest(language)
    except CheckpointError as error:
        if mark is None:
            reason = f"{error}; then remove {store.directory / language / QUARANTINE_NAME}"
            mark = Progress(language, status=QUARANTINED, reason=reason)
            write_quarantine(store.directory, mark)
            result.notices.append(("quarantined", {"language": language, "step": 0, "reason": reason}))
        mark.round = mark.admitted_round = 0  # without a row it can keep nobody company
        return mark, None
    if snapshot is None:
        return None, None
    try:
        return mark or Progress.from_state(snapshot.state), snapshot
    except (KeyError, TypeError, ValueError) as error:
        result.problems.append(
            f"the state of {language} (step {snapshot.step}) is not one that this version writes ({error!r}); use the "
            f"version that wrote it, or remove {store.directory / language} to train the language anew"
        )
        return None, None


def _misfits(config: Config, base: FrozenBase, index: ShardIndex, snapshot: Snapshot) -> Iterator[str]:
    """Why a checkpoint cannot go on in this run."""
    code, which = snapshot.language, f"the checkpoint of {snapshot.language} (step {snapshot.step})"
    try:
        check_adapter(snapshot.adapter, layers=len(base.layers), hidden=base.hidden, dim=config.adapter.dim)
    except ValueError as problem:
        yield f"{which} does not fit: {problem}, or choose another run.directory"
        return
    if snapshot.state.get("base") != base.weights_hash():
        yield (
            f"{which} was trained on a base with other weights than {config.model.base}; set model.base to that one, "
            "or choose another run.directory"
        )
    tokens = index.language(code).vocabulary.nested()
    if snapshot.vocabulary != tokens:
        yield (
            f"{which} has a vocabulary of {len(snapshot.vocabulary[code])} tokens, and the shards have other "
            f"{len(tokens[code])}; bring back the shards it was trained on, or remove "
            f"{config.run.directory}/adapters/{code} to train it anew"
        )


def _meet_the_steps(progress: Progress, entry: LanguageSummary, result: Reading) -> None:
    """A language that had taken all its steps goes on if it is given more, and has ended if it is given fewer."""
    where = {"language": progress.language, "round": progress.round, "step": progress.step}
    if progress.status == FINISHED and progress.reason == "steps" and progress.step < entry.steps:
        progress.status, progress.reason = ACTIVE, None
        result.notices.append(("reopened", where | {"steps": entry.steps}))
    elif progress.status == ACTIVE and progress.step >= entry.steps:
        progress.status, progress.reason = FINISHED, "steps"
        result.notices.append(("finished", where | {"reason": "steps"}))
