"""Are there as many processes as are meant, and is there work for all of them?"""

import os

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.world import check_world
from mms_dist.distributed.device import computes_on_cpu
from mms_dist.training.scheduler import QueuedLanguage, Ranks, order_of_admission


def look(context: Context, notes: Notes) -> None:
    """Compares with comm.processes, and places the languages as the run does."""
    config, site = context.config, context.site
    if config is None:
        notes.skip("needs the configuration")
        return
    check_world(os.environ, config.comm.processes)
    on_gpu = site.here and not computes_on_cpu(config.run.device)
    world = site.world(torch.cuda.device_count() if on_gpu else 0)
    machines = "1 machine" if site.nodes == 1 else f"{site.nodes:,} machines"
    told = f"{world:,} {'process' if world == 1 else 'processes'} on {machines}"
    if config.comm.processes not in (None, world):
        notes.fail(
            f"{told}, and comm.processes is {config.comm.processes}",
            "start as many as that, or leave comm.processes out",
        )
    if world > 1 and config.run.device not in ("auto", "cpu", "cuda"):
        notes.fail(
            f"run.device is {config.run.device} for {world:,} processes",
            "set run.device auto, with which each has a GPU of its own, or cpu",
        )
    if not context.languages:
        notes.skip("whether all have work is not known without the shards")
        return
    ranks = Ranks(
        world, min(config.rounds.slots, len(context.languages)), replicate=config.rounds.placement == "replicate"
    )
    waiting = order_of_admission(QueuedLanguage(entry.work, entry.work_seconds()) for entry in context.languages)
    groups = ranks.place(waiting[: ranks.capacity]).values()
    idle = world - len({rank for group in groups for rank in group.ranks})
    active = min(ranks.capacity, len(waiting))
    if idle:
        notes.warn(
            f"{told}; {idle:,} have nothing to do: {active:,} languages at once are no quicker on more",
            "start fewer processes, or raise optim.batch_seconds: a batch is shared utterance by utterance",
        )
    elif not notes.of("failed"):
        notes.ok(f"{told}; {active:,} of {len(waiting):,} languages at once, every process has work")
