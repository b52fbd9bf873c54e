"""1,024 registered languages against 1, the same one active: seconds of a round, and memory.

Registered languages that wait for a slot must cost neither time nor the memory of rows, gradients and moments.
"""

import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.bases import random_base
from tests.benchmarks.corpora import toy_shards
from tests.benchmarks.measure import Measurement, Target, Timing, median_ratio
from tests.benchmarks.rounds import training

REGISTERED = 1024
TARGET = Target("at most", 1.05)
MEBIBYTE = 1 << 20


def run(*, quick: bool) -> Iterator[Measurement]:
    registered, repeats, rounds = (8, 2, 2) if quick else (REGISTERED, 5, 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = random_base(folder / "base", "tiny")
        shards = toy_shards(folder, languages=registered, utterances=4)
        settings: dict[str, Any] = {
            "model": {"base": str(base)},
            "data": {"shards": str(shards)},
            "rounds": {"slots": 1},
            "optim": {"steps": 1_000_000, "batch_seconds": 8.0},
            "checkpoint": {"every_rounds": 1_000_000},
        }
        first = _first_language(folder / "probe", settings)
        alone = settings | {"data": {"shards": str(shards), "languages": [first]}}
        yield _round_time(folder, settings, alone, registered, repeats=repeats, rounds=rounds)
        yield _memory(folder, settings, alone, registered)


def _first_language(run_directory: Path, settings: dict[str, Any]) -> str:
    """The language that is admitted first when all are registered."""
    with training(run_directory, settings) as (components, clock, _):
        clock.run(components, 1)
        return next(iter(components.loop.slot_manager.active_languages))


def _round_time(
    folder: Path, many: dict[str, Any], alone: dict[str, Any], registered: int, *, repeats: int, rounds: int
) -> Measurement:
    seconds: dict[str, list[float]] = {"many": [], "alone": []}
    with training(folder / "many", many) as left, training(folder / "alone", alone) as right:
        assert list(left[0].loop.slot_manager.active_languages) == list(right[0].loop.slot_manager.active_languages)
        for repetition in range(repeats + 1):
            sides = [("many", left), ("alone", right)]
            for name, (components, clock, _) in sides if repetition % 2 else sides[::-1]:
                measured = statistics.median(clock.run(components, rounds))
                if repetition:  # the first warms up
                    seconds[name].append(measured)
    timings = {name: Timing(tuple(values)) for name, values in seconds.items()}
    return Measurement(
        "registered",
        f"{registered:,} registered against 1, 1 active, tiny shapes, 8 s a round",
        1e3 * timings["many"].median,
        1e3 * timings["alone"].median,
        "ms",
        median_ratio(timings["many"], timings["alone"]),
        "seconds of a round / seconds with 1 registered",
        TARGET,
    )


def _memory(folder: Path, many: dict[str, Any], alone: dict[str, Any], registered: int) -> Measurement:
    """Each in a process of its own, after the same rounds."""
    figures = {}
    for name, settings in (("many", many), ("alone", alone)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            figures[name] = pool.submit(_memory_of, str(folder / f"memory-{name}"), settings).result()
    rows = {name: figure["rows_mebibytes"] for name, figure in figures.items()}
    resident = {name: figure["resident_mebibytes"] for name, figure in figures.items()}
    return Measurement(
        "registered",
        f"memory of rows, gradients and moments with {registered:,} registered, 1 active",
        rows["many"],
        rows["alone"],
        "MiB",
        rows["many"] / rows["alone"],
        "bytes / bytes with 1 registered",
        TARGET,
        details={
            "process, many registered [MiB]": round(resident["many"]),
            "process, 1 registered [MiB]": round(resident["alone"]),
            "index and queue, KiB a waiting language": round(
                1024 * (resident["many"] - resident["alone"]) / max(1, registered - 1), 1
            ),
        },
    )


def _memory_of(run_directory: str, settings: dict[str, Any]) -> dict[str, float]:
    with training(Path(run_directory), settings) as (components, clock, _):
        clock.run(components, 3)
        tensors = (components.bank.rows, components.bank.grads, *components.optimizer.buffers.values())
        return {
            "rows_mebibytes": sum(tensor.nbytes for tensor in tensors) / MEBIBYTE,
            "resident_mebibytes": psutil.Process().memory_info().rss / MEBIBYTE,
        }
