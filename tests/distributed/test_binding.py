"""Ranks that no launcher has numbered bind, sum and share groups as any others."""

import os
from typing import Any

import torch
import torch.distributed as dist

from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.placement import RankGroup
from mms_dist.distributed.process_group import joined
from mms_dist.errors import MmsDistError
from tests.distributed.ranks import run_ranks

WORLD = 3


def bind(notes: dict[str, Any]) -> None:
    with joined(on_gpu=False, timeout_seconds=30, on_hang=print) as comm:
        notes["device"] = str(bind_rank("auto", comm))
        notes["local_rank"] = os.environ["LOCAL_RANK"]  # which Accelerate and DeepSpeed read
        try:
            bind_rank("cuda:0", comm)
        except MmsDistError as error:
            notes["refused"] = (type(error).__name__, str(error), error.exit_code)
        groups = [dist.group.WORLD, dist.new_group(list(range(WORLD)))]  # the second as DeepSpeed makes its own
        group = RankGroup(0, 2)
        if comm.rank in group.ranks:
            groups.append(comm._group(group))
        notes["days"] = [group._get_backend(torch.device("cpu")).options._timeout.days for group in groups]


def test_ranks_without_a_local_rank_bind_and_keep_their_process_groups() -> None:
    ranks = run_ranks(WORLD, "tests.distributed.test_binding:bind", environment={"LOCAL_RANK": ""}).notes
    assert [notes["local_rank"] for notes in ranks] == ["0", "1", "2"]
    for notes in ranks:
        assert notes["device"] == "cpu"
        kind, told, code = notes["refused"]
        assert f"'cuda:0' for {WORLD} processes" in told and code == 2
        assert kind == ("ConfigError" if notes is ranks[0] else "PeerError")
    assert [notes["days"] for notes in ranks] == [[7, 7, 7], [7, 7, 7], [7, 7]]
