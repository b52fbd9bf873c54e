"""The frozen base under ZeRO-3: other memory, the same numbers, however unlike the ranks' work is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mms_dist.model.base import DTYPES, FrozenBase
from tests.benchmarks.bases import random_base
from tests.distributed.ranks import Ended, run_ranks
from tests.distributed.zero_passes import VOCABULARIES, Plan, linear_shapes, run_plan

CONFIGS = Path(__file__).parents[2] / "configs" / "deepspeed"
STAGES = ("zero0", "zero1", "zero2", "zero3", "zero3_offload")

# Ranks with other languages, other lengths and another number of passes, one of them with none at all in some phases;
# training and scoring alternate.
PLANS: tuple[Plan, ...] = (
    (
        ("train", [((0, 31), (1, 31)), ((0, 17), (2, 40)), ((1, 9),)]),
        ("score", [((0, 31), (2, 12))]),
        ("train", [((2, 25),)]),
        ("train", [((0, 11), (1, 13), (2, 14)), ((1, 22),)]),
    ),
    (
        ("train", [((3, 50),)]),
        ("score", [((3, 20),), ((3, 21),)]),
        ("train", []),
        ("train", [((3, 8), (3, 33))]),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_base(tmp_path_factory.mktemp("base"), "tiny", layers=4)


def on_ranks(
    folder: Path, settings: str | Path | None, world: int = 2, environment: dict[str, str] | None = None, **changes: Any
) -> Ended:
    notes = {
        "base": str(folder),
        "settings": None if settings is None else str(settings),
        "plans": [PLANS[rank % 2] for rank in range(world)],
        "dtype": "float32",
        "checkpointing": False,
    }
    body = "tests.distributed.zero_passes:body"
    return run_ranks(world, body, notes | changes, environment=environment, timeout_seconds=120)


def assert_as_one_process(ended: Ended, folder: Path, *, dtype: str = "float32", checkpointing: bool = False) -> None:
    """Every rank has the bits that its share of the work gives on a base that is whole."""
    base = FrozenBase.load(str(folder), dtype=DTYPES[dtype])
    for rank, notes in enumerate(ended.notes):
        expected = run_plan(base, PLANS[rank % 2], checkpointing)
        for phase, (ours, theirs) in enumerate(zip(notes["gradients"], expected["gradients"], strict=True)):
            assert torch.equal(ours, theirs), f"gradients of rank {rank} after phase {phase}"
            assert ours.abs().sum() > 0
        for ours, theirs in zip(notes["logits"], expected["logits"], strict=True):
            assert torch.equal(ours, theirs), f"logits of rank {rank}"


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", STAGES)
def test_ranks_with_uneven_work_compute_what_an_unsharded_base_computes(
    name: str, checkpointing: bool, folder: Path
) -> None:
    ended = on_ranks(folder, CONFIGS / f"{name}.json", checkpointing=checkpointing)
    assert_as_one_process(ended, folder, checkpointing=checkpointing)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_every_precision_of_the_base_can_be_sharded(dtype: str, folder: Path) -> None:
    ended = on_ranks(folder, CONFIGS / "zero3.json", dtype=dtype)
    assert_as_one_process(ended, folder, dtype=dtype)
    assert {notes["dtype_seen"] for notes in ended.notes} == {f"torch.{dtype}"}


@pytest.mark.parametrize("world", [1, 3, 4])
def test_any_number_of_processes_may_share_the_base(world: int, folder: Path) -> None:
    ended = on_ranks(folder, CONFIGS / "zero3.json", world=world)
    assert_as_one_process(ended, folder)
    assert [notes["world_seen"] for notes in ended.notes] == [world] * world


def test_accelerates_own_options_shard_without_a_file(folder: Path) -> None:
    """`accelerate launch --use_deepspeed --zero_stage 3 --offload_param_device cpu`, on CPUs and with `--cpu`."""
    environment = {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
        "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "cpu",
        "ACCELERATE_USE_CPU": "true",
    }
    ended = on_ranks(folder, None, environment=environment)
    assert_as_one_process(ended, folder)
    about = "ZeRO-3: the base's layers are sharded over 2 processes, kept in host memory"
    assert {notes["about"] for notes in ended.notes} == {about}


def test_fetching_nothing_ahead_changes_no_bit(folder: Path, tmp_path: Path) -> None:
    settings = json.loads((CONFIGS / "zero3.json").read_text())
    settings["zero_optimization"] |= {"stage3_prefetch_bucket_size": 0, "overlap_comm": False}
    (tmp_path / "plain.json").write_text(json.dumps(settings))
    assert_as_one_process(on_ranks(folder, tmp_path / "plain.json"), folder)


def test_a_rank_holds_its_part_of_the_layers_and_no_more(folder: Path) -> None:
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    whole = sum(weight.nbytes for weight in base.layers.parameters())
    for world in (2, 4):
        for notes in on_ranks(folder, CONFIGS / "zero3.json", world=world).notes:
            # Biases and norms are whole after the first passes, and the last pass's last fetched layer may be.
            assert notes["before"] <= whole / world * 1.01
            assert notes["after"] <= whole / world + whole / len(base.layers) + 0.02 * whole


@pytest.mark.parametrize("checkpointing", [False, True])
def test_nothing_of_the_sharded_weights_is_kept_from_forward_to_backward(checkpointing: bool, folder: Path) -> None:
    shapes = linear_shapes(FrozenBase.load(str(folder), dtype=torch.float32))
    assert shapes & run_plan(FrozenBase.load(str(folder), dtype=torch.float32), PLANS[0], False)["saved_shapes"]
    for notes in on_ranks(folder, CONFIGS / "zero3.json", checkpointing=checkpointing).notes:
        assert not shapes & notes["saved_shapes"]


def test_a_sharded_base_is_still_known_by_its_name_fingerprint_and_size(folder: Path) -> None:
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    for notes in on_ranks(folder, CONFIGS / "zero3.json").notes:
        assert notes["identity"] == base.weights_hash()
        assert notes["fingerprint"] == base.fingerprint()
        assert notes["parameters"] == base.parameter_count()
        assert notes["device_seen"] == "cpu"


def test_the_stages_below_3_say_that_they_leave_the_base_whole(folder: Path) -> None:
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    whole = sum(weight.nbytes for weight in base.layers.parameters())
    for stage in (0, 1, 2):
        for notes in on_ranks(folder, CONFIGS / f"zero{stage}.json").notes:
            assert notes["before"] == notes["after"] == whole
            assert notes["about"].startswith(f"ZeRO-{stage}: every process keeps the whole base")


def test_vocabularies_of_the_plans_leave_the_spare_slot_alone() -> None:
    used = {slot for plan in PLANS for _, passes in plan for utterances in passes for slot, _ in utterances}
    assert used == set(range(len(VOCABULARIES) - 1))
