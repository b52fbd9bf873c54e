"""One run: from a configuration to finished adapters. Everything is made here and wired; nothing is decided here."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from mms_dist.checkpoint.lock import RunLock
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.config.load import write_config
from mms_dist.data.loader import BatchLoader
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.initial import SCHEMES
from mms_dist.model.layout import RowLayout
from mms_dist.model.routed import RoutedModel
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.allocator import keep_freed_memory
from mms_dist.training.census import LanguageEntry, take_census
from mms_dist.training.devices import choose_device, set_threads
from mms_dist.training.evaluate import Evaluator
from mms_dist.training.features import FeatureSource
from mms_dist.training.gradients import GradientPass
from mms_dist.training.initial_adapters import InitialAdapters
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.loop import PREEMPTED, RoundLoop
from mms_dist.training.optimizer import RowAdamW
from mms_dist.training.restore import restore
from mms_dist.training.roster import Candidate, Roster
from mms_dist.training.workplace import Workplace
from shards.cache import ShardCache
from shards.index import ShardIndex
from shards.read import ShardReader

_PREFETCH_BYTES = 4 << 30


@dataclass
class Parts:
    """The parts of a run that debugging, evaluation and tests look at from outside."""

    base: FrozenBase
    bank: AdapterBank
    model: RoutedModel
    optimizer: RowAdamW
    loader: BatchLoader
    gradients: GradientPass
    workplace: Workplace
    lifecycle: Lifecycle
    loop: RoundLoop


def train(config: Config, *, stop_requested: Callable[[], bool] = lambda: False, live: bool | None = None) -> str:
    """Train every language of the configuration, or go on where the run directory's checkpoints stand.

    Args:
        stop_requested: asked at every round's edge; True ends the run with a checkpoint of every language.
        live: draw the display in place; None: if standard output is a terminal.

    Returns:
        `finished` or `preempted`.

    Raises:
        MmsDistError, ShardsError: what a user can mend.
    """
    directory = Path(config.run.directory)
    set_threads(config.run.threads)
    keep_freed_memory()
    index, census = take_census(config)
    base = load_base(config)
    check_first_adapters(config, base, index)
    with (
        RunLock(directory),
        CheckpointStore(directory / "adapters", keep=config.checkpoint.keep) as store,
        Monitor(directory, languages=[entry.plan() for entry in census], live=live) as monitor,
    ):
        store.recover()
        with assemble(config, index, census, base, store, monitor, stop_requested) as parts:
            write_config(config, directory / "config.yaml")
            loop = parts.loop
            monitor.start(_plan_lines(config, parts, census))
            monitor.event("run_resumed" if loop.round or store.languages() else "run_started", round=loop.round)
            outcome = loop.run()
        store.drain()
        if outcome == PREEMPTED:
            monitor.event("preempted", round=loop.round, reason="asked to stop")
        else:
            monitor.event("run_finished", round=loop.round)
        monitor.close(monitor.summary())
    return outcome


def load_base(config: Config) -> FrozenBase:
    """The base on its device, in its precision."""
    return FrozenBase.load(config.model.base, dtype=DTYPES[config.model.dtype], device=choose_device(config.run.device))


def check_first_adapters(config: Config, base: FrozenBase, index: ShardIndex) -> None:
    """Read every adapter file that a language would start from, before anything is written.

    Raises:
        DataError, CheckpointError: one is missing or does not fit.
    """
    initial = InitialAdapters(_layout(config, base), config.run.seed)
    for language in index.languages:
        init = config.for_language(language).adapter.init
        if init not in SCHEMES:
            initial.tensors(init, index.language(language).vocabulary)


def _layout(config: Config, base: FrozenBase) -> RowLayout:
    return RowLayout(len(base.layers), base.hidden, config.adapter.dim)


@contextlib.contextmanager
def assemble(
    config: Config,
    index: ShardIndex,
    census: list[LanguageEntry],
    base: FrozenBase,
    store: CheckpointStore,
    monitor: Monitor,
    stop_requested: Callable[[], bool] = lambda: False,
) -> Iterator[Parts]:
    """Make the parts of a run and wire them; they are closed on the way out."""
    base = FrozenBase.load(config.model.base, dtype=DTYPES[config.model.dtype], device=choose_device(config.run.device))
    restart, queue = restore(config, store, census, monitor)
    bank = AdapterBank(
        _layout(config, base),
        slots=min(config.rounds.slots, len(census)),
        largest_vocabulary=max(entry.vocabulary_size for entry in census),
        dtype=torch.promote_types(base.dtype, torch.float32),
        device=base.device,
    )
    model = RoutedModel(base, bank, activation_checkpointing=config.model.activation_checkpointing)
    optimizer = RowAdamW(bank)
    features = FeatureSource(base, cache_gib=config.model.feature_cache_gib)
    reader = ShardReader(index, shard_cache(config))
    loader = BatchLoader(reader, {}, {}, workers=config.data.workers, prefetch_bytes=_PREFETCH_BYTES)
    evaluator = Evaluator(
        model,
        features,
        reader,
        forward_seconds=config.evaluation.forward_seconds,
        max_utterances=config.evaluation.max_utterances,
    )
    gradients = GradientPass(model, features, forward_seconds=config.rounds.forward_seconds, seed=config.run.seed)
    workplace = Workplace(config, bank, optimizer, loader, features, store, index, monitor)
    lifecycle = Lifecycle(config, workplace, store, evaluator, index, monitor, finished=restart.ended)
    roster = Roster(
        slots=bank.slots,
        present=[Candidate(progress.language, 0.0, progress) for progress in restart.present],
        queue=queue,
        enter=workplace.enter,
    )
    loop = RoundLoop(
        roster,
        loader,
        gradients,
        optimizer,
        lifecycle,
        monitor,
        prefetch_rounds=config.data.prefetch_rounds,
        round=restart.round,
        stop_requested=stop_requested,
    )
    try:
        yield Parts(base, bank, model, optimizer, loader, gradients, workplace, lifecycle, loop)
    finally:
        loader.close()
        reader.close()


def shard_cache(config: Config) -> ShardCache | None:
    """The node-local cache of remote shards, if the configuration names a place for one."""
    if config.data.cache_directory is None:
        return None
    return ShardCache(config.data.cache_directory, int(config.data.cache_gib * (1 << 30)))


def _plan_lines(config: Config, parts: Parts, census: list[LanguageEntry]) -> list[str]:
    """What a user wants to see before the first round."""
    hours = sum(entry.seconds for entry in census) / 3600
    row = parts.bank.rows.shape[1]
    lines = [
        f"base      {config.model.base}: {parts.base.parameter_count() / 1e6:,.1f} M parameters, frozen, "
        f"{config.model.dtype} on {parts.base.device}",
        f"languages {len(census)}: {sum(entry.utterances for entry in census):,} utterances, {hours:,.2f} h; "
        f"{parts.bank.slots} languages at once",
        f"adapters  dim {config.adapter.dim}, up to {row:,} trained parameters a language; "
        f"rows, gradients and moments take {4 * parts.bank.rows.nbytes / 2**20:,.0f} MiB",
        f"rounds    {config.optim.batch_seconds:g} s of audio and one optimizer step a language, "
        f"forward passes of up to {config.rounds.forward_seconds:g} s",
    ]
    left_out = sum(entry.left_out for entry in census)
    if left_out:
        lines.append(f"left out  {left_out:,} training utterances that are too long or have no transcript that fits")
    if parts.loop.round:
        lines.append(f"resumed   after round {parts.loop.round:,}")
    return lines
