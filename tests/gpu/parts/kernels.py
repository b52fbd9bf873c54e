"""What the device does in a round, and whether the host ever waits for it on the way."""

from functools import partial

import numpy as np

from mms_dist.data.batch import LoadedBatch
from mms_dist.model.base import FrozenBase
from tests.gpu import targets
from tests.gpu.bases import config_of, random_base
from tests.gpu.ours import Joint, Setting, adapters, speed_settings
from tests.gpu.part import Part
from tests.gpu.profile import profiled, synchronizing_operations
from tests.gpu.recipe import Recipe
from tests.gpu.speech import one_pass, round_of
from tests.gpu.timing import median, once

LANGUAGES, BATCH_SECONDS = 16, 160.0
RECIPE_BATCHES = 4
PASS_SECONDS = (40.0, 80.0, 160.0, 320.0)


def run(part: Part) -> None:
    for shape in ("300m",) if part.smoke else ("300m", "1b"):
        if part.has(15, f"profile of {shape}"):
            look_at(part, shape)


def look_at(part: Part, shape: str) -> None:
    """Rounds of every way to compute them, what a pass costs, and the recipe's batches."""
    languages, seconds = (2, 2.0) if part.smoke else (LANGUAGES, BATCH_SECONDS)
    batches = round_of(languages, seconds)
    base = random_base(config_of(shape, tiny=part.smoke), part.half, part.device)
    for setting in speed_settings(part.device, compiled=False):
        look_at_rounds(part, shape, Joint(base, adapters(base, [40] * languages), setting), batches)
    pass_cost(part, shape, base)
    recipe = Recipe(config_of(shape, tiny=part.smoke), part.half, part.device, compiled=False)
    ready = recipe.cut(batches, seconds=seconds, most=RECIPE_BATCHES)
    recipe.train(ready)
    found = profiled(lambda: recipe.train(ready), part.device)
    part.record.note(f"recipe, {shape}", found.told(len(ready)))


def look_at_rounds(part: Part, shape: str, joint: Joint, batches: list[LoadedBatch]) -> None:
    """The passes of a round, in which nothing may wait, and a whole round."""
    what = f"{shape}, {joint.setting}"
    joint.round(batches)
    waits = synchronizing_operations(lambda: joint.accumulate(batches), part.device)
    part.record.check(f"operations in the passes of a round that wait for the device, {what}", len(waits), at_most=0)
    count, _ = joint.passes(batches)
    before = joint.waited_seconds
    seconds = once(lambda: joint.accumulate(batches), part.device)
    waited = joint.waited_seconds - before
    # The first pass of a round is always waited for: nothing was computed while it was prepared.
    part.record.note(f"host late with a pass, share of a round's time, {what}", waited / seconds)
    passes = profiled(lambda: joint.accumulate(batches), part.device)
    part.record.note(f"passes of a round, {what}", passes.told(count))
    if (shape, joint.setting.attention) == ("300m", "padded"):
        part.record.figure(targets.WAITS, sum(passes.waits.values()))
    whole = profiled(lambda: joint.round(batches), part.device)
    part.record.note(f"whole round, {what}", whole.told(count))


def pass_cost(part: Part, shape: str, base: FrozenBase) -> None:
    """What one more pass costs, as seconds of audio: the intercept of seconds over seconds of audio, times the rate.

    For `FORWARD_COST_SECONDS` of `mms_dist.hardware.resolve`, by which the packer cuts a round into passes.
    """
    sizes, seconds = np.array([2.0, 4.0] if part.smoke else PASS_SECONDS), []
    for size in sizes:
        joint = Joint(base, adapters(base, [40] * 4), Setting(forward_seconds=float(size)))
        work = partial(joint.accumulate, one_pass(float(size), languages=4))
        seconds.append(median(work, part.device, repeats=3))
    slope, intercept = np.polyfit(sizes, np.array(seconds), 1)
    part.record.note(f"{shape}: s of a pass by seconds of audio", dict(zip(sizes.tolist(), seconds, strict=True)))
    part.record.figure(f"{shape}: what a pass costs, s of audio", float(intercept / slope))
