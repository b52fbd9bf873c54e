"""Front-end features computed in every epoch, or once and then fetched from the host."""

from dataclasses import replace

from tests.gpu.bases import config_of, random_base
from tests.gpu.distance import relative
from tests.gpu.ours import Joint, adapters, speed_settings
from tests.gpu.part import Part
from tests.gpu.profile import synchronizing_operations
from tests.gpu.speech import round_of
from tests.gpu.timing import in_turn

LANGUAGES, BATCH_SECONDS = 8, 160.0
CACHE_GIB = 16.0
BOUND = 8e-2
"""Of gradients in bfloat16, relative: an utterance goes through the front end by itself instead of with others."""


def run(part: Part) -> None:
    languages, seconds = (2, 2.0) if part.smoke else (LANGUAGES, BATCH_SECONDS)
    batches = round_of(languages, seconds)
    base = random_base(config_of("300m", tiny=part.smoke), part.half, part.device)
    setting = speed_settings(part.device, compiled=False)[0].exact()
    computed, fetched = (
        Joint(base, adapters(base, [40] * languages), replace(setting, feature_cache_gib=gib))
        for gib in (0.0, CACHE_GIB)
    )
    grads_SR = computed.gradients(batches)[1]
    for what in ("filling the cache", "fetching from the cache"):
        off = relative(fetched.gradients(batches)[1], grads_SR)
        part.record.check(f"gradients, {what}", off, at_most=BOUND)
    waits = synchronizing_operations(lambda: fetched.accumulate(batches), part.device)
    part.record.check("operations in passes with the cache that wait for the device", len(waits), at_most=0)
    sides = {"computed": lambda: computed.round(batches), "fetched": lambda: fetched.round(batches)}
    times = in_turn(sides, part.device, repeats=1 if part.smoke else 3, warmups=0 if part.smoke else 1)
    ratio = times["computed"].median / times["fetched"].median
    part.record.figure("features: a round with the cache, times faster than without (300m)", ratio)
