"""Check the number of processes, and that all of them have work."""

import os

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, count_failures, failed, not_checked, ok, warning
from launcher.world import check_world
from mms_dist.config import Config
from mms_dist.distributed.device import computes_on_cpu
from mms_dist.training.scheduler import QueuedLanguage, Ranks, order_of_admission


def check(context: Context) -> Findings:
    """Compare the number of processes with comm.processes, and place the languages as the run does."""
    config, machines = context.config, context.machines
    if config is None:
        yield not_checked("needs the configuration")
        return
    check_world(os.environ, config.comm.processes)
    on_gpu = machines.here and not computes_on_cpu(config.run.device)
    world = machines.world(torch.cuda.device_count() if on_gpu else 0)
    where = "1 machine" if machines.nodes == 1 else f"{machines.nodes:,} machines"
    found = f"{world:,} {'process' if world == 1 else 'processes'} on {where}"
    failures = yield from count_failures(_wrong_number(config, found, world))
    if not context.languages:
        yield not_checked("whether all processes have work is unknown without the shards")
        return
    ranks = Ranks(
        world, min(config.rounds.slots, len(context.languages)), replicate=config.rounds.placement == "replicate"
    )
    waiting = order_of_admission(QueuedLanguage.of(entry) for entry in context.languages)
    groups = ranks.place(waiting[: ranks.capacity]).values()
    idle = world - len({rank for group in groups for rank in group.ranks})
    active = min(ranks.capacity, len(waiting))
    if idle:
        yield warning(
            f"{found}; {idle:,} would be idle: {active:,} concurrent languages do not train faster on more processes",
            "start fewer processes, or raise optim.batch_seconds: a batch is divided utterance by utterance",
        )
    elif not failures:
        yield ok(f"{found}; {active:,} of {len(waiting):,} languages at once, every process has work")


def _wrong_number(config: Config, found: str, world: int) -> Findings:
    """Yield what does not fit the number of processes."""
    if config.comm.processes not in (None, world):
        yield failed(
            f"{found}, but comm.processes is {config.comm.processes}",
            f"start {config.comm.processes} processes, or leave comm.processes out",
        )
    if world > 1 and config.run.device not in ("auto", "cpu", "cuda"):
        yield failed(
            f"run.device is {config.run.device} for {world:,} processes",
            "set run.device to auto, which gives each process its own GPU, or to cpu",
        )
