"""Accelerate on the group that is there: it finds the ranks, and changes nothing else."""

import os
from typing import Any

import pytest
import torch

from mms_dist.distributed.accelerator import make_accelerator
from mms_dist.distributed.process_group import joined
from tests.distributed.ranks import run_ranks


def look_around(notes: dict[str, Any]) -> None:
    os.environ.pop("OMP_NUM_THREADS")
    torch.set_num_threads(3)
    with joined(on_gpu=False, timeout_seconds=30, on_hang=print) as comm:
        accelerator = make_accelerator(torch.device("cpu"))
        notes |= {
            "place": (accelerator.process_index, accelerator.num_processes),
            "expected": (comm.rank, comm.world),
            "device": str(accelerator.device),
            "precision": accelerator.mixed_precision,
            "threads": torch.get_num_threads(),
        }


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate_tells_rank_device_precision_and_keeps_our_threads(world: int, precision: str) -> None:
    environment = {"ACCELERATE_MIXED_PRECISION": precision}
    for notes in run_ranks(world, "tests.distributed.test_accelerator:look_around", environment=environment).notes:
        assert notes["place"] == notes["expected"]
        assert (notes["device"], notes["precision"], notes["threads"]) == ("cpu", precision, 3)
