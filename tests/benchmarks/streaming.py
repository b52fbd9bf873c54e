"""The loader against bare decoding, and padding in the packed forward, as measurements beside the others."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from shards.index import ShardIndex
from shards.read import ShardReader
from tests.benchmarks import loader, padding
from tests.benchmarks.measure import Measurement, Target


def run_loader(*, quick: bool) -> Iterator[Measurement]:
    """Utterances per CPU-second of the process, so that the figure holds per core on a shared machine."""
    repeats, utterances = (2, 20) if quick else (15, 250)
    with tempfile.TemporaryDirectory() as folder:
        index = ShardIndex.load(str(loader.build(Path(folder), utterances=utterances)))
        encoded, reader = loader.flac_bytes(index), ShardReader(index)
        work: dict[str, Callable[[], int]] = {"bare": lambda: loader.decode_memory(encoded)}
        for workers in loader.WORKERS:
            work[str(workers)] = lambda workers=workers: loader.load_epoch(index, reader, workers=workers)  # type: ignore[misc]
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for repetition in range(-1, repeats):
            for name in work:
                pair = loader.rates(work[name])
                if repetition >= 0:  # the first warms up
                    measured[name].append(pair)
        reader.close()
    for workers in loader.WORKERS:
        pairs = measured[str(workers)]
        yield Measurement(
            "loader",
            f"{len(encoded):,} FLAC utterances, mean 5 s, {workers} worker threads",
            median(cpu for cpu, _ in pairs),
            median(cpu for cpu, _ in measured["bare"]),
            "utterances/CPU-s",
            loader.ratio(pairs, measured["bare"]),
            "rate of the loader / rate of bare decoding from memory",
            Target("at least", loader.TARGET),
        )


def run_padding(*, quick: bool) -> Iterator[Measurement]:
    """One optimizer batch of 160 s a language; lengths log-normal, median 4 s, 1-30 s."""
    for languages in (1, 8, 64):
        row = padding.measure(languages, rounds=3 if quick else 50)
        yield Measurement(
            "padding",
            f"{languages} languages, {padding.FORWARD_SECONDS:g} s forwards",
            100 * row["padding"],
            100 * row["unpacked_padding"],
            "%",
            row["padding"],
            "padding / padded audio; the reference packs utterances as they come",
            Target("at most", padding.TARGET) if languages > 1 else None,
            details={"worst round": row["padding_worst"], "packing [ms]": row["pack_milliseconds"]},
        )
