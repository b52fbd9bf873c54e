"""What the device does in a round, and whether the host ever waits for it on the way."""

import warnings

import torch

from tests.gpu import targets
from tests.gpu.bases import config_of, random_base
from tests.gpu.ours import Joint, adapters, speed_settings
from tests.gpu.part import Part
from tests.gpu.profile import profiled
from tests.gpu.recipe import Recipe
from tests.gpu.speech import round_of
from tests.gpu.timing import Work

LANGUAGES, BATCH_SECONDS = 16, 160.0
RECIPE_BATCHES = 4
READS = 1
"""Of a round: its losses, after the last pass."""


def run(part: Part) -> None:
    for shape in ("300m",) if part.smoke else ("300m", "1b"):
        if part.has(15, f"profile of {shape}"):
            look_at(part, shape)


def look_at(part: Part, shape: str) -> None:
    """Passes of a round, the whole round, and the recipe's batches."""
    languages, seconds = (2, 2.0) if part.smoke else (LANGUAGES, BATCH_SECONDS)
    batches = round_of(languages, seconds)
    base = random_base(config_of(shape, tiny=part.smoke), part.half, part.device)
    for setting in speed_settings(part.device, compiled=False):
        joint = Joint(base, adapters(base, [40] * languages), setting)
        joint.round(batches)
        counted = synchronizing_operations(lambda joint=joint: joint.accumulate(batches), part.device)  # type: ignore[misc]
        what = f"{shape}, {setting}"
        part.record.check(f"operations of a round that wait for the device, {what}", len(counted), at_most=READS)
        part.record.note(f"operations of a round that wait for the device, {what}", counted)
        if not part.on_gpu:
            continue
        passes = profiled(lambda joint=joint: joint.accumulate(batches), part.device)  # type: ignore[misc]
        part.record.note(f"passes of a round, {what}", passes.told(joint.passes(batches)))
        if shape == "300m" and setting.attention == "padded":
            part.record.figure(targets.WAITS, sum(passes.waits.values()))
        whole = profiled(lambda joint=joint: joint.round(batches), part.device)  # type: ignore[misc]
        part.record.note(f"whole round, {what}", whole.told(joint.passes(batches)))
    if part.on_gpu:
        recipe = Recipe(config_of(shape), part.half, part.device, compiled=False)
        ready = recipe.cut(batches, seconds=seconds, most=RECIPE_BATCHES)
        recipe.train(ready)
        found = profiled(lambda: recipe.train(ready), part.device)
        part.record.note(f"recipe, {shape}", found.told(len(ready)))


def synchronizing_operations(work: Work, device: torch.device) -> list[str]:
    """What torch itself says of each of its operations that waits for the device: `c10/cuda/CUDAFunctions.cpp` warns
    whenever it copies and waits, or waits for a stream. (Waits for events it does not know; the profile does.)"""
    if device.type != "cuda":
        work()
        return []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [str(one.message).splitlines()[0] for one in told if "synchronizing" in str(one.message)]
