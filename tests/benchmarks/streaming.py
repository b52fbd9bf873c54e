"""The loader against bare decoding, and padding in the packed forward, as measurements beside the others."""

from collections.abc import Iterator

from tests.benchmarks import loader, padding
from tests.benchmarks.measure import Measurement, Target


def run_loader(*, quick: bool) -> Iterator[Measurement]:
    """Utterances per CPU-second of the process, so that the figure holds per core on a shared machine."""
    figures = loader.measure(quick=quick)
    target = Target("at least", loader.TARGET)
    for workers in loader.WORKERS:
        side = loader.loader_side(workers)
        ratio = figures.ratio(side, loader.MEMORY)
        yield Measurement(
            "loader",
            f"{figures.utterances:,} FLAC utterances, mean {figures.seconds / figures.utterances:.1f} s, "
            f"{workers} worker threads",
            figures.medians(side)[0],
            figures.medians(loader.MEMORY)[0],
            "utterances/CPU-s",
            ratio,
            "rate of the loader / rate of bare decoding from memory",
            target,
            profile="" if workers or target.is_met(ratio) else figures.profile,
        )


def run_padding(*, quick: bool) -> Iterator[Measurement]:
    """One optimizer batch of 160 s a language; lengths log-normal, median 4 s, 1-30 s. Packed as for a CPU, and 64
    languages as for a GPU too."""
    rounds = 3 if quick else 50
    for languages, device in ((1, "cpu"), (8, "cpu"), (64, "cpu"), (64, "gpu")):
        row = padding.measure(padding.planned_rounds(languages, rounds=rounds), device=device)
        yield Measurement(
            "padding",
            f"{languages} languages, {padding.FORWARD_SECONDS[device]:g} s forwards as on a {device.upper()}",
            100 * row["padding"],
            100 * row["unpacked_padding"],
            "%",
            row["padding"],
            "padding / padded audio; the reference packs utterances as they come",
            Target("at most", padding.TARGET) if languages > 1 else None,
            details={
                "worst round": row["padding_worst"],
                "packing [ms]": row["pack_milliseconds"],
                "forwards": row["forwards"],
            },
        )
        if device == "gpu":
            yield Measurement(
                "padding",
                f"{languages} languages, {padding.FORWARD_SECONDS[device]:g} s forwards as on a {device.upper()}",
                row["forwards"],
                row["unpacked_forwards"],
                "forwards",
                row["forwards"] / padding.MOST_FORWARDS_ON_A_GPU,
                f"forward passes / {padding.MOST_FORWARDS_ON_A_GPU}; the reference packs utterances as they come",
                Target("at most", 1.0),
            )
