"""Run training: from a configuration to finished adapters."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mms_dist.checkpoint.head_rows import MappedRows
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.augmented import cache_notes
from mms_dist.data.language_balance import balance_lines
from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.deepspeed_package import wants_deepspeed
from mms_dist.distributed.device import computes_on_gpu, nvidia_gpu, set_threads, why_no_gpu
from mms_dist.distributed.gpu import describe, naming_the_gpu
from mms_dist.distributed.process_group import joined
from mms_dist.hardware.base_loading import RunBase, load_run_base
from mms_dist.hardware.memory_estimate import BUFFERS
from mms_dist.machine import keep_freed_memory
from mms_dist.monitor.console import error_console
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark
from mms_dist.run_directory.status_file import RunState, mark_hung
from mms_dist.training.assembly import assemble, check_first_adapters
from mms_dist.training.components import RunComponents
from mms_dist.training.ending import Ending
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.record import Record
from mms_dist.training.report_collector import Event
from mms_dist.training.restore import Restored, restore
from mms_dist.training.same_run import check_same_run
from shards.display.current_work import CurrentWork


def train(
    config: Config,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    at_first_round: Callable[[], None] = lambda: None,
    live: bool | None = None,
) -> str:
    """Train every language of the configuration, or continue from the checkpoints in the run directory.

    Every process of a launcher calls this; a single process without a launcher does the whole run.

    Args:
        stop_requested: called between rounds; True on any rank ends the run with a checkpoint of every language.
            Also called during the rendezvous, while waiting for other ranks; True ends that wait.
        at_first_round: called when the first round begins, or when the run ends in order without one. From then on,
            a stop takes effect after the current round.
        live: redraw the display in place; None: only if standard output is a terminal.

    Returns:
        `finished`; `preempted`; `incomplete` if some languages ended in quarantine or could not be scored; `failed` if
        all are in quarantine. RUN/status.json says which languages and why.

    Raises:
        MmsDistError, ShardsError: an error that the user can fix.
        StoppedEarly: a stop was requested while waiting for other ranks.
    """
    set_threads(config.run.threads)
    keep_freed_memory()
    with joined(
        on_gpu=computes_on_gpu(config.run.device),
        timeout_seconds=config.comm.timeout_seconds,
        on_hang=lambda report: mark_hung(Path(config.run.directory), reason=report.summary),
        need_group=wants_deepspeed(config.comm.deepspeed),
        stop_requested=stop_requested,
        at_first_round=at_first_round,
    ) as comm:
        return _train(config, comm, stop_requested, live)


def _train(config: Config, comm: Comm, stop_requested: Callable[[], bool], live: bool | None) -> str:
    directory = Path(config.run.directory)
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(Record.of(directory, comm, stalled_restarts=config.run.stalled_restarts))
        device = bind_rank(config.run.device, comm)
        stack.enter_context(naming_the_gpu(device, comm.rank))
        work = stack.enter_context(_startup(comm))

        def reading(what: str) -> None:
            comm.watchdog.mark(what)
            work.describe(what)

        index, summaries = comm.run_on_all_ranks(lambda: summarise_languages(config, on_progress=reading))
        work.describe(f"loading the base {config.model.base}")
        loaded = load_run_base(config, summaries, device, comm)
        config, resolved, base = loaded.config, loaded.resolved, loaded.base
        work.describe("reading the checkpoints")
        check_same_run(config, resolved, summaries, base.weights_hash(), comm)
        mapped = comm.run_on_all_ranks(lambda: check_first_adapters(config, base, index))
        store = stack.enter_context(CheckpointStore(RunPaths(directory).adapters, keep=config.checkpoint.keep))
        comm.run_on_all_ranks(lambda: store.recover() if comm.is_first else [])
        restored = restore(config, store, index, summaries, base, comm)
        restored.notices += _head_events(mapped, restored)
        record.restored(restored, config, resolved, summaries, live=live)
        work.describe("preparing the first round")
        components = stack.enter_context(
            assemble(
                config,
                index=index,
                summaries=summaries,
                base=base,
                restored=restored,
                store=store,
                monitor=record.monitor,
                stop_requested=stop_requested,
                comm=comm,
                resolved=resolved,
            )
        )
        work.close()
        record.begin(restored, _plan_lines(loaded, components, summaries, comm))
        outcome = components.loop.run()
        store.drain()
        totals = comm.all_gather(_totals_of(components.lifecycle))  # after this, all checkpoints are on disk
        components.report_collector.deliver()
        end = None if outcome == RunState.PREEMPTED else _ending(restored, totals, len(summaries), directory)
        steps = restored.steps + sum(each.steps_taken for each in totals)
        # On all ranks together: if one exits earlier with a non-zero status, its launcher kills the others.
        comm.run_on_all_ranks(lambda: record.end(end, round=components.loop.round, steps=steps))
    return outcome if end is None else end.state


@dataclass(frozen=True)
class _RankTotals:
    """Results of the languages whose first owner is one rank."""

    steps_taken: int
    quarantined: dict[str, QuarantineMark]
    unscored: list[str]


def _startup(comm: Comm) -> CurrentWork:
    """Return what shows the start of a run until the first round, on the first rank."""
    return CurrentWork(error_console()) if comm.is_first else CurrentWork(Console(quiet=True))


def _totals_of(lifecycle: Lifecycle) -> _RankTotals:
    return _RankTotals(lifecycle.steps_taken, lifecycle.quarantined, lifecycle.unscored)


def _ending(restored: Restored, totals: Sequence[_RankTotals], languages: int, directory: Path) -> Ending:
    """Combine the results of all ranks; every rank computes the same."""
    quarantined, unscored = dict(restored.quarantined), list(restored.unscored)
    for each in totals:
        quarantined |= each.quarantined
        unscored += each.unscored
    return Ending(directory, languages, quarantined, tuple(sorted(set(unscored))))


def _head_events(mapped: Mapping[str, MappedRows], restored: Restored) -> list[Event]:
    """Return an event for every language that begins with the head of another vocabulary."""
    beginning = {queued.language for queued in (*restored.present, *restored.queue) if queued.restored is None}
    return [
        Event("head_mapped", {"language": code, "taken": rows.taken, "new": "".join(rows.new), "unused": rows.unused})
        for code, rows in mapped.items()
        if code in beginning
    ]


def _plan_lines(loaded: RunBase, components: RunComponents, summaries: list[LanguageSummary], comm: Comm) -> list[str]:
    """Return the lines that describe the run before its first round."""
    config, resolved = loaded.config, loaded.resolved
    hours = sum(entry.seconds for entry in summaries) / 3600
    row = components.bank.rows.shape[1]
    lines = [
        f"base      {config.model.base}: {components.base.parameter_count() / 1e6:,.1f} M parameters, frozen, "
        f"{resolved.dtype} on {describe(components.base.device)}",
        f"languages {len(summaries)}: {sum(entry.utterances for entry in summaries):,} utterances, {hours:,.2f} h; "
        f"{min(components.loop.scheduler.capacity, len(summaries))} at once",
        f"adapters  dim {config.adapter.dim}, up to {row:,} trained parameters per language; "
        f"rows, gradients and moments take {BUFFERS * components.bank.rows.nbytes / 2**20:,.0f} MiB",
        f"rounds    {config.optim.batch_seconds:g} s of audio and one optimizer step per language, "
        f"forward passes of up to {components.gradients.forward_seconds:g} s",
        *resolved.lines,
    ]
    lines.insert(0, f"run       {config.run.directory}, from the shards {config.data.shards}")
    if comm.world > 1:
        lines.append(f"processes {comm.world}, {_sharing(config.rounds.placement)}")
    if components.base.device.type == "cpu" and config.run.device == "auto" and nvidia_gpu():
        lines.append("device    the CPU: {}; {}".format(*why_no_gpu()))
    lines += loaded.lines
    if resolved.feature_cache_gib:
        sections = [config.for_language(entry.language).augment for entry in summaries]
        lines += [f"features  {note}" for note in cache_notes(sections)]
    left_out = sum(entry.left_out for entry in summaries)
    if left_out:
        lines.append(
            f"left out  {left_out:,} training utterances that are too long, have no usable transcript or a low score"
        )
    for entry in summaries:
        if entry.flagged:
            flags = ", ".join(config.data.leave_out_flagged)
            lines.append(f"left out  {entry.flagged:,} training utterances of {entry.language}, flagged as {flags}")
        if entry.beyond_hours:
            lines.append(f"left out  {entry.beyond_hours:,} training utterances of {entry.language}: balance.max_hours")
    lines += [f"balance   {line}" for line in balance_lines((entry.language, entry.balance) for entry in summaries)]
    if components.loop.round:
        lines.append(f"resumed   after round {components.loop.round:,}")
    return lines


def _sharing(placement: str) -> str:
    if placement == "replicate":
        return "each with a share of every language"
    return "each with its own languages; the last ones are shared"
