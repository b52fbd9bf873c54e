"""Create the components of a run and wire them. Nothing is decided here."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from mms_dist.checkpoint.head_rows import MappedRows
from mms_dist.checkpoint.initial_adapters import InitialAdapters
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config, Model
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.data.loader import BatchLoader
from mms_dist.data.training_stream import training_stream
from mms_dist.data.utterance_source import shard_cache
from mms_dist.decoding.decoder import decoders_of
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.evaluation.evaluator import Evaluator
from mms_dist.features.feature_source import FeatureSource
from mms_dist.hardware.hardware import single_process_hardware
from mms_dist.hardware.memory_estimate import RunShape
from mms_dist.hardware.resolve import Resolved, resolve
from mms_dist.model.adapter import SCHEMES, RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.base_shape import BaseShape
from mms_dist.model.optimizer import RowAdamW
from mms_dist.model.routed import RoutedModel
from mms_dist.model.staging import StagingBlocks
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.components import RunComponents
from mms_dist.training.dev_evaluation import DevEvaluation
from mms_dist.training.exchange import GradientExchange
from mms_dist.training.gradients import GradientPass
from mms_dist.training.language_slots import LanguageSlots
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.loop import RoundLoop
from mms_dist.training.observer import Observers
from mms_dist.training.observers import OBSERVERS
from mms_dist.training.report_collector import Notices, ReportCollector
from mms_dist.training.restore import Restored
from mms_dist.training.round_meter import RoundMeter
from mms_dist.training.scheduler import LanguageScheduler, Ranks
from mms_dist.training.slot_manager import SlotManager
from shards.index import ShardIndex
from shards.read import ShardReader

_PREFETCH_BYTES = 4 << 30


def resolve_for_single_process(config: Config, summaries: Sequence[LanguageSummary], device: torch.device) -> Resolved:
    """Resolve the settings of this run for a single process that tries it out."""
    hardware = single_process_hardware(device)
    shape = None
    if hardware.on_gpu:
        base = BaseShape.of(config.model.base)
        shape = RunShape.of(base, summaries, adapter=config.adapter, rounds=config.rounds, model=config.model)
    return resolve(config, hardware, shape=shape)


def check_first_adapters(config: Config, base: FrozenBase, index: ShardIndex) -> dict[str, MappedRows]:
    """Read every adapter file that a language starts from, before anything is written.

    Returns:
        By language, where the rows of the head come from, if the file has another vocabulary than the shards.

    Raises:
        DataError, CheckpointError: a file is missing or does not fit.
    """
    initial = InitialAdapters(_layout(config.adapter.dim, base), config.run.seed)
    mapped: dict[str, MappedRows] = {}
    for language in index.languages:
        init = config.for_language(language).adapter.init
        if init not in SCHEMES:
            rows = initial.create(init, index.language(language).vocabulary).mapped
            mapped |= {} if rows is None else {language: rows}
    return mapped


@contextlib.contextmanager
def assemble(
    config: Config,
    *,
    index: ShardIndex,
    summaries: list[LanguageSummary],
    base: FrozenBase,
    restored: Restored,
    store: CheckpointStore,
    monitor: Monitor | None,
    stop_requested: Callable[[], bool] = lambda: False,
    comm: Comm | None = None,
    resolved: Resolved | None = None,
) -> Iterator[RunComponents]:
    """Create and wire the components of a run on this rank; they are closed when the block ends.

    It takes the whole configuration because it gives every component its own section or values.

    Args:
        monitor: None on all ranks but rank 0.
        resolved: the settings that the ranks agreed on; None for a single process.
    """
    comm = comm or Comm()
    resolved = resolved or resolve_for_single_process(config, summaries, base.device)
    slots, sharded = min(config.rounds.slots, len(summaries)), base.sharding is not None
    bank = AdapterBank(
        _layout(config.adapter.dim, base),
        slots=slots + sharded,
        largest_vocabulary=max(entry.vocabulary_size for entry in summaries),
        dtype=torch.promote_types(base.dtype, torch.float32),
        device=base.device,
    )
    model = RoutedModel(base, bank, activation_checkpointing=config.model.activation_checkpointing)
    lockstep = Lockstep(comm, model, spare_slot=slots if sharded else None)
    optimizer, observers, notices = RowAdamW(bank), Observers(), Notices()
    features = _feature_source(config.model, base, resolved, notices)
    staging = StagingBlocks(
        base.device, budget_bytes=resolved.staging_bytes, on_notice=partial(notices.add, "memory_not_pinned")
    )
    reader = ShardReader(index, shard_cache(config.data))
    loader = BatchLoader(reader, {}, {}, workers=resolved.workers, prefetch_bytes=_PREFETCH_BYTES)
    evaluator = Evaluator(
        model,
        features,
        reader,
        forward_seconds=resolved.evaluation_seconds,
        forward_cost=resolved.forward_cost_samples,
        max_utterances=config.evaluation.max_utterances,
        lockstep=lockstep,
        pool=loader.pool,
        staging=staging,
        decoder_of=decoders_of(config),
    )
    gradients = GradientPass(
        model,
        features,
        forward_seconds=resolved.forward_seconds,
        forward_cost=resolved.forward_cost_samples,
        seed=config.run.seed,
        packed=resolved.packed,
        lockstep=lockstep,
        staging=staging,
        observer=observers,
    )
    language_slots = LanguageSlots(
        seed=config.run.seed,
        settings_of=config.for_language,
        stream_of=partial(training_stream, config),
        base_identity=base.weights_hash(),
        bank=bank,
        optimizer=optimizer,
        loader=loader,
        features=features,
        store=store,
        index=index,
        observer=observers,
    )
    lifecycle = Lifecycle(
        evaluate_every_steps=config.evaluation.every_steps,
        save_every_rounds=config.checkpoint.every_rounds,
        language_slots=language_slots,
        store=store,
        dev=DevEvaluation(evaluator, index, comm, lockstep),
        observer=observers,
        notices=notices,
    )
    ranks = Ranks(comm.world, slots, replicate=config.rounds.placement == "replicate")
    scheduler = LanguageScheduler(ranks, present=restored.present, queue=restored.queue, ended=restored.ended)
    slot_manager = SlotManager(comm, scheduler, language_slots, slots)
    report_collector = ReportCollector(comm, monitor)
    components = RunComponents(
        directory=Path(config.run.directory),
        comm=comm,
        base=base,
        bank=bank,
        model=model,
        optimizer=optimizer,
        loader=loader,
        gradients=gradients,
        evaluator=evaluator,
        language_slots=language_slots,
        lifecycle=lifecycle,
        report_collector=report_collector,
        observers=observers,
        loop=RoundLoop(
            comm=comm,
            scheduler=scheduler,
            slot_manager=slot_manager,
            loader=loader,
            gradients=gradients,
            exchange=GradientExchange(comm, bank),
            optimizer=optimizer,
            lifecycle=lifecycle,
            report_collector=report_collector,
            observer=observers,
            meter=RoundMeter(loader, lifecycle, scheduler, slot_manager),
            prefetch_rounds=config.data.prefetch_rounds,
            round=restored.round,
            stop_requested=stop_requested,
        ),
    )
    observers.members += [make(components) for make in OBSERVERS]
    try:
        yield components
    finally:
        gradients.close()
        features.close()
        loader.close()
        reader.close()


def _feature_source(model: Model, base: FrozenBase, resolved: Resolved, notices: Notices) -> FeatureSource:
    spill = model.feature_spill_directory
    return FeatureSource(
        base,
        cache_gib=resolved.feature_cache_gib,
        spill_directory=None if spill is None else Path(spill),
        spill_bytes=resolved.spill_bytes,
        notify=notices.add,
    )


def _layout(dim: int, base: FrozenBase) -> RowLayout:
    return RowLayout(len(base.layers), base.hidden, dim)
