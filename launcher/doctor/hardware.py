"""The hardware of the checked run: as found on this machine, or as the command line says for other machines."""

import torch

from launcher.doctor.context import Context
from mms_dist.distributed.device import computes_on_cpu
from mms_dist.hardware.hardware import Hardware, assumed, facts_of_this_rank, minimum_share


def hardware_of(context: Context) -> Hardware:
    """Return the least that every process has."""
    config, site = context.config, context.site
    assert config is not None
    sharded = context.base_is_sharded
    if not site.here or site.memory_gib is not None:
        on_gpu = config.run.device != "cpu" if not site.here else not computes_on_cpu(config.run.device)
        world = site.world(torch.cuda.device_count() if site.here else 0)
        return assumed(on_gpu=on_gpu, memory_gib=site.memory_gib, world=world, base_is_sharded=sharded)
    if computes_on_cpu(config.run.device):
        devices = [torch.device("cpu")] * site.on_each(0)
    else:
        devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    facts = [facts_of_this_rank(device, base_is_sharded=sharded) for device in devices]
    return minimum_share(facts, world=site.world(len(devices)))
