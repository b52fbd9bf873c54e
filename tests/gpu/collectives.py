"""NCCL beside gloo, in the world and in a group, as the ranks of a run use them.

Legend: N numbers.
"""

import torch
import torch.distributed as dist

from tests.gpu.part import Part
from tests.gpu.timing import median

NUMBERS = {True: 64 << 20, False: 1 << 16}
"""Of float32 that are summed on a GPU (256 MiB: about 25 rows of 1B) or on a CPU."""


def look_at_collectives(part: Part, rank: int, world: int, host: str, port: int) -> None:
    """Sums are right, objects arrive, and how fast gradients are summed. Port 0 is for a world of one."""
    store = dist.TCPStore(host, port, is_master=rank == 0, wait_for_workers=False)
    backend = "cpu:gloo,cuda:nccl" if part.on_gpu else "gloo"
    if part.on_gpu:
        torch.cuda.set_device(part.device)
    dist.init_process_group(backend, store=dist.PrefixStore("suite", store), rank=rank, world_size=world)
    try:
        _look(part, rank, world, backend)
        dist.barrier(device_ids=[part.device.index] if part.on_gpu else None)
    finally:
        dist.destroy_process_group()


def _look(part: Part, rank: int, world: int, backend: str) -> None:
    group = dist.new_group(list(range(world)), use_local_synchronization=True)
    ranks_N = torch.full((1 << 16,), float(rank), device=part.device)
    dist.all_reduce(ranks_N)
    grouped_N = torch.full((1 << 16,), float(rank), device=part.device)
    dist.all_reduce(grouped_N, group=group)
    expected = world * (world - 1) / 2
    summed = bool((ranks_N == expected).all() and (grouped_N == expected).all())
    part.record.holds(f"{backend} sums over {world} in the world and in a group", summed)
    items: list[object] = [None] * world
    dist.all_gather_object(items, rank, group=group)
    part.record.holds(f"{backend} gathers objects of {world}", items == list(range(world)))
    numbers_N = torch.ones(NUMBERS[part.on_gpu], device=part.device)
    seconds = median(lambda: dist.all_reduce(numbers_N, group=group), part.device)
    part.record.note(f"all-reduce over {world}, GB/s of a rank's buffer", numbers_N.nbytes / seconds / 1e9)
