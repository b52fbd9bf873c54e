"""Training time lost to saving at the default interval.

Two figures: how long training waits for snapshots to be taken and handed over; and, as an upper bound that leaves
nothing out, how long saving every language takes until the last byte is on the disk, as if training stood still
meanwhile (in truth a thread writes while the next rounds are computed).
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from mms_dist.config import Checkpoint
from tests.benchmarks.bases import random_base
from tests.benchmarks.corpora import toy_shards
from tests.benchmarks.measure import Measurement, Target
from tests.benchmarks.rounds import training

LANGUAGES = 8
BATCH_SECONDS = 16.0
TARGET = Target("at most", 0.01)


def run(*, quick: bool) -> Iterator[Measurement]:
    """Eight languages on the shipped base's shapes: the hardest case, as rounds of larger models last longer."""
    rounds, saves = (2, 2) if quick else (30, 9)
    interval = Checkpoint().every_rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = random_base(folder / "base", "tiny")
        settings: dict[str, Any] = {
            "model": {"base": str(base)},
            "data": {"shards": str(toy_shards(folder, languages=LANGUAGES, utterances=40))},
            "optim": {"steps": 1_000_000, "batch_seconds": BATCH_SECONDS},
            "checkpoint": {"every_rounds": 1_000_000},
        }
        with training(folder / "run", settings) as (components, clock, store):
            round_seconds = statistics.median(clock.run(components, rounds))
            waits, wholes = [], []
            for _ in range(saves):
                clock.run(components, 1)  # ends with a checkpoint of every language at a new step
                store.drain()
                for active in components.loop.slot_manager.in_order():
                    active.progress.step += 1
                waited, began = components.lifecycle.save_seconds, perf_counter()
                components.lifecycle.save_all(components.loop.slot_manager.in_order(), components.loop.round)
                waits.append(components.lifecycle.save_seconds - waited)
                store.drain()
                wholes.append(perf_counter() - began)
    case = f"{LANGUAGES} languages, tiny shapes, {BATCH_SECONDS:g} s a language and round, every {interval} rounds"
    for what, seconds in (("training waits", waits), ("upper bound: all saving", wholes)):
        median = statistics.median(seconds)
        yield Measurement(
            "checkpointing",
            f"{case}: {what}",
            1e3 * median,
            1e3 * interval * round_seconds,
            "ms",
            median / (interval * round_seconds),
            "seconds for saving / seconds of the rounds between two saves",
            TARGET,
            details={"round [ms]": round(1e3 * round_seconds, 1), "slowest save [ms]": round(1e3 * max(seconds), 1)},
        )
