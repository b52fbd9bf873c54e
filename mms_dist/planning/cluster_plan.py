"""The plan of a run on a cluster, from the first round to the last, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.data.training_stream import training_stream
from mms_dist.distributed.placement import RankGroup
from mms_dist.hardware.hardware import assumed_hardware
from mms_dist.hardware.memory_estimate import Memory, RunShape
from mms_dist.hardware.resolve import resolve
from mms_dist.model.base_shape import BaseShape, row_number_bytes
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.round_sample import RoundSample, sample_rounds
from mms_dist.planning.schedule import Phase, least_seconds, phases
from mms_dist.planning.traffic import PlannedTraffic, Reads, audio_byte_rates, communication, shard_reads
from mms_dist.training.scheduler import Ranks
from shards.index import ShardIndex


@dataclass(frozen=True, kw_only=True)
class PhaseLine:
    """The figures of a phase. Loads are seconds of audio per round: of the busiest rank, and the mean over ranks."""

    first_round: int
    rounds: int
    active: int
    waiting: int
    fewest_held: int
    most_held: int
    shared: int
    """Languages with several owners."""
    largest_block: int
    highest_load: float
    mean_load: float
    exchange_seconds: float
    """Time that the busiest rank spends on communication in a round."""

    @property
    def skew(self) -> float:
        """How far the busiest rank is above the mean, as a fraction."""
        return self.highest_load / self.mean_load - 1


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """The estimate for a run on one cluster. Wall-clock times are None if the speed is unknown."""

    cluster: Cluster
    languages: int
    slots: int
    rounds: int
    audio_seconds: float
    """Audio of the busiest rank, summed over the rounds."""
    least_audio_seconds: float
    """Lower bound of `audio_seconds` over all schedules."""
    total_audio_seconds: float
    makespan_seconds: float | None
    exchange_seconds: float
    skew: float
    """Skew of a round, averaged over all rounds."""
    traffic: PlannedTraffic
    dtype: str
    forward_seconds: float
    on_gpu: bool
    memory: Memory
    reads: Reads
    sample: RoundSample | None
    """Figures of real rounds; None without shards."""
    phases: list[PhaseLine]

    @property
    def over_least(self) -> float:
        """Makespan divided by the lower bound; includes communication if the speed is known."""
        if self.makespan_seconds is None or self.cluster.speed is None:
            return self.audio_seconds / self.least_audio_seconds
        return self.makespan_seconds * self.cluster.speed / self.least_audio_seconds

    @property
    def fits(self) -> bool | None:
        """Whether the memory of a process suffices; None if that memory was not given."""
        gib = self.cluster.memory_gib
        return None if gib is None else self.memory.total <= gib * 2**30

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self) | {"over_least": self.over_least, "fits": self.fits}
        values["cluster"]["world"] = self.cluster.world
        values["memory"]["total"] = self.memory.total
        for line, plain in zip(self.phases, values["phases"], strict=True):
            plain["skew"] = line.skew
        return values


def make_plan(
    config: Config, summaries: Sequence[LanguageSummary], index: ShardIndex | None, shape: BaseShape, cluster: Cluster
) -> ClusterPlan:
    """Simulate a run.

    It takes the whole configuration because it resolves the settings that the configuration leaves open, as a run does.

    Args:
        summaries: the languages, from shards or from a table of hours.
        index: the shards, if there are any; used to sample real batches.
        shape: the shape of the base.
    """
    world, slots = cluster.world, min(config.rounds.slots, len(summaries))
    schedule = list(phases(summaries, Ranks(world, slots, replicate=config.rounds.placement == "replicate")))
    on_gpu = config.run.device != "cpu"  # on the cluster; the planning machine may differ
    hardware = assumed_hardware(on_gpu=on_gpu, memory_gib=cluster.memory_gib, world=world)
    run_shape = RunShape.of(shape, summaries, adapter=config.adapter, rounds=config.rounds, model=config.model)
    resolved = resolve(config, hardware, shape=run_shape)
    number_bytes = row_number_bytes(resolved.dtype)
    row_bytes = {
        entry.language: number_bytes * shape.row_numbers(config.adapter.dim, entry.vocabulary_size)
        for entry in summaries
    }
    lines, traffic, waits = _lines(schedule, cluster, row_bytes)
    rounds = sum(line.rounds for line in lines)
    audio = sum(line.rounds * line.highest_load for line in lines)
    sample = None
    if index is not None:
        sample = sample_rounds(
            lambda language: training_stream(config, index.language(language)),
            schedule,
            world=world,
            forward_seconds=resolved.forward_seconds,
            forward_cost=resolved.forward_cost_samples,
            packed=resolved.packed,
        )
    return ClusterPlan(
        cluster=cluster,
        languages=len(summaries),
        slots=slots,
        rounds=rounds,
        audio_seconds=audio,
        least_audio_seconds=least_seconds(summaries, world),
        total_audio_seconds=sum(line.rounds * line.mean_load for line in lines) * world,
        makespan_seconds=None if cluster.speed is None else audio / cluster.speed + waits,
        exchange_seconds=waits,
        skew=sum(line.rounds * line.skew for line in lines) / rounds,
        traffic=traffic,
        dtype=resolved.dtype,
        forward_seconds=resolved.forward_seconds,
        on_gpu=on_gpu,
        memory=run_shape.memory_needs(resolved.dtype, hardware, packed=resolved.packed).memory(
            resolved.forward_seconds
        ),
        reads=shard_reads(schedule, summaries, cluster, audio_byte_rates(summaries, index)),
        sample=sample,
        phases=lines,
    )


def _lines(
    schedule: Sequence[Phase], cluster: Cluster, row_bytes: Mapping[str, int]
) -> tuple[list[PhaseLine], PlannedTraffic, float]:
    """Return the figures of the phases, the total traffic, and the total seconds the busiest ranks communicate."""
    lines, traffic, waits = [], PlannedTraffic(), 0.0
    before: Mapping[str, RankGroup] = {}
    for phase in schedule:
        costs = communication(phase, before, cluster, row_bytes)
        loads_W, held_W = phase.loads(cluster.world), phase.held(cluster.world)
        sizes = [group.size for group in phase.placement.values()]
        lines.append(
            PhaseLine(
                first_round=phase.first_round,
                rounds=phase.rounds,
                active=len(sizes),
                waiting=phase.waiting,
                fewest_held=int(held_W.min()),
                most_held=int(held_W.max()),
                shared=sum(size > 1 for size in sizes),
                largest_block=max(sizes),
                highest_load=float(loads_W.max()),
                mean_load=float(loads_W.mean()),
                exchange_seconds=costs.round_seconds,
            )
        )
        traffic += costs.traffic
        waits += phase.rounds * costs.round_seconds + costs.move_seconds
        before = phase.placement
    return lines, traffic, waits
