"""One run: from a configuration to finished adapters."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.comm import Comm, joined
from mms_dist.distributed.deepspeed_package import wants_deepspeed
from mms_dist.distributed.device import computes_on_gpu, nvidia_gpu, why_no_gpu
from mms_dist.distributed.gpu import describe, naming_the_gpu
from mms_dist.training.allocator import keep_freed_memory
from mms_dist.training.assembly import Parts, assemble, check_first_adapters
from mms_dist.training.attempts import RunState, mark_hung
from mms_dist.training.devices import set_threads
from mms_dist.training.ending import Ending, ending
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.record import Record
from mms_dist.training.restore import Restored, restore
from mms_dist.training.run_base import RunBase, run_base
from mms_dist.training.same_run import check_same_run
from mms_dist.training.summaries import LanguageSummary, summarise_languages


def train(
    config: Config,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    at_first_round: Callable[[], None] = lambda: None,
    live: bool | None = None,
) -> str:
    """Train every language of the configuration, or go on where the run directory's checkpoints stand.

    Called by each of the processes that a launcher started; by one alone it is the whole run.

    Args:
        stop_requested: asked at every round's edge; True on any rank ends the run with a checkpoint of every language.
            Asked as well while other ranks are waited for before they have met; True ends that wait.
        at_first_round: called when the first round begins, or an orderly end without one: from here on a stop is waited
            for until the round's edge.
        live: draw the display in place; None: if standard output is a terminal.

    Returns:
        `finished`; `preempted`; `incomplete` if some languages are in quarantine at the end, or could not be scored,
        and `failed` if all are in quarantine: RUN/status.json tells which and why.

    Raises:
        MmsDistError, ShardsError: what a user can fix.
        StoppedEarly: a stop was requested while other ranks were waited for.
    """
    set_threads(config.run.threads)
    keep_freed_memory()
    with joined(
        on_gpu=computes_on_gpu(config.run.device),
        timeout_seconds=config.comm.timeout_seconds,
        on_hang=lambda report: mark_hung(Path(config.run.directory), reason=report),
        need_group=wants_deepspeed(config.comm.deepspeed),
        stop_requested=stop_requested,
        at_first_round=at_first_round,
    ) as comm:
        return _train(config, comm, stop_requested, live)


def _train(config: Config, comm: Comm, stop_requested: Callable[[], bool], live: bool | None) -> str:
    directory = Path(config.run.directory)
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(Record.of(directory, comm, config))
        device = bind_rank(config.run.device, comm)
        stack.enter_context(naming_the_gpu(device, comm.rank))
        index, summaries = comm.run_on_all_ranks(lambda: summarise_languages(config, tell=comm.watchdog.mark))
        loaded = run_base(config, summaries, device, comm)
        config, resolved, base = loaded.config, loaded.resolved, loaded.base
        check_same_run(config, resolved, summaries, base.weights_hash(), comm)
        comm.run_on_all_ranks(lambda: check_first_adapters(config, base, index))
        store = stack.enter_context(CheckpointStore(directory / "adapters", keep=config.checkpoint.keep))
        comm.run_on_all_ranks(lambda: store.recover() if comm.is_first else [])
        restored = restore(config, store, index, summaries, base, comm)
        record.restored(restored, config, resolved, summaries, live=live)
        parts = stack.enter_context(
            assemble(config, index, summaries, base, restored, store, record.monitor, stop_requested, comm, resolved)
        )
        record.begin(restored, _plan_lines(loaded, parts, summaries, comm))
        outcome = parts.loop.run()
        store.drain()
        shares = comm.all_gather(_told(parts.lifecycle))  # and all checkpoints are on the disk
        parts.report_collector.deliver()
        end = None if outcome == RunState.PREEMPTED else _ending(restored, shares, len(summaries), directory)
        steps = restored.steps + sum(share.steps_taken for share in shares)
        # Together: a rank that leaves with a status other than 0 lets its launcher end the others.
        comm.run_on_all_ranks(lambda: record.end(end, round=parts.loop.round, steps=steps))
    return outcome if end is None else end.state


@dataclass(frozen=True)
class _Told:
    """What one rank knows of the languages that it spoke for."""

    steps_taken: int
    quarantined: dict[str, str]
    unscored: list[str]


def _told(lifecycle: Lifecycle) -> _Told:
    return _Told(lifecycle.steps_taken, lifecycle.quarantined, lifecycle.unscored)


def _ending(restored: Restored, shares: Sequence[_Told], languages: int, directory: Path) -> Ending:
    """The same on every rank."""
    quarantined, unscored = dict(restored.quarantined), list(restored.unscored)
    for share in shares:
        quarantined |= share.quarantined
        unscored += share.unscored
    return ending(languages, quarantined, sorted(set(unscored)), directory)


def _plan_lines(loaded: RunBase, parts: Parts, summaries: list[LanguageSummary], comm: Comm) -> list[str]:
    """What a user wants to see before the first round."""
    config, resolved = loaded.config, loaded.resolved
    hours = sum(entry.seconds for entry in summaries) / 3600
    row = parts.bank.rows.shape[1]
    lines = [
        f"base      {config.model.base}: {parts.base.parameter_count() / 1e6:,.1f} M parameters, frozen, "
        f"{resolved.dtype} on {describe(parts.base.device)}",
        f"languages {len(summaries)}: {sum(entry.utterances for entry in summaries):,} utterances, {hours:,.2f} h; "
        f"{min(parts.loop.scheduler.capacity, len(summaries))} at once",
        f"adapters  dim {config.adapter.dim}, up to {row:,} trained parameters a language; "
        f"rows, gradients and moments take {4 * parts.bank.rows.nbytes / 2**20:,.0f} MiB",
        f"rounds    {config.optim.batch_seconds:g} s of audio and one optimizer step a language, "
        f"forward passes of up to {parts.gradients.forward_seconds:g} s",
        *resolved.lines,
    ]
    lines.insert(0, f"run       {config.run.directory}, from the shards {config.data.shards}")
    if comm.world > 1:
        lines.append(f"processes {comm.world}, {_sharing(config)}")
    if parts.base.device.type == "cpu" and config.run.device == "auto" and nvidia_gpu():
        lines.append("device    the CPU: {}; {}".format(*why_no_gpu()))
    lines += loaded.lines
    left_out = sum(entry.left_out for entry in summaries)
    if left_out:
        lines.append(f"left out  {left_out:,} training utterances that are too long or have no transcript that fits")
    if parts.loop.round:
        lines.append(f"resumed   after round {parts.loop.round:,}")
    return lines


def _sharing(config: Config) -> str:
    if config.rounds.placement == "replicate":
        return "each with a share of every language"
    return "each with its own languages; the last ones are shared"
