"""Utterances a second of the loader against bare FLAC decoding on the same cores.

    python -m tests.benchmarks.loader [--quick]

Bare decoding is `soundfile.read` in a loop: of bytes that are in memory already, and of single files. The loader
does more: positioned reads from shards, checksums, JSON, labels, order. Both sides decode the same utterances, in
alternation; rates are per CPU-second of the process, so that they hold per core on a shared machine, and elapsed
rates stand beside them. All files are in the page cache.
"""

import argparse
import contextlib
import cProfile
import io
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from mms_dist.data.loader import BatchLoader, BatchRequest
from mms_dist.data.stream import LanguageStream, Position
from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.build.plan import plan_languages
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.sources.registry import read_source
from shards.tars.spans import members_of
from tests.benchmarks.conditions import conditions

LANGUAGES = ("ita", "ron", "ukr", "lit")
WORKERS = (0, 1, 2)
PREFETCH_ROUNDS = 2
BATCH_SECONDS = 160.0
TARGET = 0.95
MEMORY, FILES = "bare decode, from memory", "bare decode, from files"


def loader_side(workers: int) -> str:
    """Name of the side of the loader with so many workers."""
    return f"BatchLoader, {workers} workers"


def voice(seconds: float, generator: np.random.Generator) -> np.ndarray:
    """Something that compresses as speech does: a drifting harmonic sum in syllables, over faint noise."""
    time_S = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    knots = np.arange(0, seconds + 1, 0.2)
    pitch_S = 120 * np.exp(0.2 * np.interp(time_S, knots, generator.normal(size=len(knots))))
    phase_S = 2 * np.pi * np.cumsum(pitch_S) / SAMPLE_RATE
    voiced_S = sum(np.sin(k * phase_S) * generator.uniform(0.1, 1) / k**0.7 for k in range(1, 20))
    syllables = np.arange(0, seconds + 1, 0.08)
    loudness_S = np.clip(np.interp(time_S, syllables, generator.normal(0.3, 0.5, len(syllables))), 0.0, 2)
    return np.clip(0.08 * voiced_S * loudness_S + generator.normal(0, 0.0008, len(time_S)), -1, 1)


def build(folder: Path, *, utterances: int) -> Path:
    """Shards of `LANGUAGES`, lengths log-normal with median 4 s, 1 to 30 s."""
    lines = ["audio\ttext\tlang\tsplit"]
    (folder / "audio").mkdir()
    for code in LANGUAGES:
        generator = np.random.default_rng(LANGUAGES.index(code))
        for number in range(utterances):
            seconds = float(np.clip(generator.lognormal(np.log(4), 0.7), 1, 30))
            name = f"audio/{code}-{number}.wav"
            soundfile.write(folder / name, voice(seconds, generator), SAMPLE_RATE)
            letters = "".join(generator.choice(list("abcdefghijklmnopqrst    "), int(seconds * 14)))
            lines.append(f"{name}\t{letters}\t{code}\ttrain")
    (folder / "manifest.tsv").write_text("\n".join(lines), encoding="utf-8")
    plans = plan_languages(read_source(folder / "manifest.tsv"), dev_fraction=0.1, test_fraction=0.1)
    build_shards(plans, folder / "shards", BuildOptions(shard_utterances=100), workers=1)
    return folder / "shards"


def flac_bytes(index: ShardIndex) -> list[bytes]:
    """The encoded audio of every training utterance."""
    encoded = []
    for code in index.languages:
        language = index.language(code)
        table = language.table("train")
        tars = [Path(language.shard_url(shard)).read_bytes() for shard in language.shards("train")]
        for shard, offset, size in zip(table.shard, table.offset, table.size, strict=True):
            encoded.append(bytes(members_of(tars[shard][offset : offset + size])["flac"]))
    return encoded


def decode_memory(encoded: list[bytes]) -> int:
    for data in encoded:
        soundfile.read(io.BytesIO(data), dtype="int16")
    return len(encoded)


def decode_files(paths: list[Path]) -> int:
    for path in paths:
        soundfile.read(path, dtype="int16")
    return len(paths)


class Training:
    """Takes epoch after epoch of all languages in rounds, as training does; one loader throughout."""

    def __init__(self, index: ShardIndex, reader: ShardReader, *, workers: int) -> None:
        self.streams = {
            code: LanguageStream(
                index.language(code).table("train"), language=code, seed=0, batch_seconds=BATCH_SECONDS, window_shards=8
            )
            for code in index.languages
        }
        vocabularies = {code: index.language(code).vocabulary for code in index.languages}
        self.loader = BatchLoader(reader, self.streams, vocabularies, workers=workers)
        self.epoch = 0

    def rounds(self) -> list[list[BatchRequest]]:
        """The requests of an epoch; languages whose epoch is shorter leave the last rounds."""
        batches = {code: len(stream.batches(self.epoch)) for code, stream in self.streams.items()}
        return [
            [BatchRequest(code, Position(self.epoch, number)) for code in batches if number < batches[code]]
            for number in range(max(batches.values()))
        ]

    def one_epoch(self) -> int:
        """Take all rounds of the next epoch; returns the number of utterances."""
        rounds = self.rounds()
        utterances = 0
        for number, requests in enumerate(rounds):
            for ahead in rounds[number : number + 1 + PREFETCH_ROUNDS]:
                self.loader.prefetch(ahead)
            utterances += sum(len(batch.utterances) for batch in self.loader.take(requests))
        self.epoch += 1
        return utterances


def rate(work: Callable[[], int]) -> tuple[float, float]:
    """Utterances per CPU-second, and per elapsed second."""
    began, cpu_began = time.perf_counter(), time.process_time()
    utterances = work()
    return utterances / (time.process_time() - cpu_began), utterances / (time.perf_counter() - began)


@dataclass
class Figures:
    """What was measured, and on what.

    Attributes:
        rates: by side, (utterances per CPU-second, per elapsed second) of every repetition.
        utterances, seconds, megabytes: of the corpus: number, audio, FLAC.
        profile: where the loader's time goes without workers; the profiler slows Python code down, not decoding.
    """

    rates: dict[str, list[tuple[float, float]]]
    utterances: int
    seconds: float
    megabytes: float
    profile: str

    def medians(self, side: str) -> tuple[float, float]:
        """Utterances per CPU-second, and per elapsed second."""
        cpu, elapsed = zip(*self.rates[side], strict=True)
        return statistics.median(cpu), statistics.median(elapsed)

    def ratio(self, side: str, reference: str) -> float:
        """Median over repetitions of the ratio of CPU rates that were measured next to each other."""
        pairs = zip(self.rates[side], self.rates[reference], strict=True)
        return statistics.median(mine[0] / theirs[0] for mine, theirs in pairs)


def measure(*, quick: bool) -> Figures:
    """Alternate between the sides; one repetition of a side is the whole corpus once."""
    repetitions, utterances = (3, 50) if quick else (15, 250)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closing:
        index = ShardIndex.load(str(build(Path(folder), utterances=utterances)))
        reader = closing.enter_context(contextlib.closing(ShardReader(index)))
        encoded = flac_bytes(index)
        files = [Path(folder) / f"{number}.flac" for number in range(len(encoded))]
        for path, data in zip(files, encoded, strict=True):
            path.write_bytes(data)
        sides: dict[str, Callable[[], int]] = {
            MEMORY: lambda: decode_memory(encoded),
            FILES: lambda: decode_files(files),
        }
        for workers in WORKERS:
            training = Training(index, reader, workers=workers)
            closing.enter_context(training.loader)
            sides[loader_side(workers)] = training.one_epoch
        rates: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for repetition in range(repetitions + 1):
            for side, work in sides.items():
                result = rate(work)
                if repetition:  # the first warms up
                    rates[side].append(result)
        seconds = float(sum(index.language(code).table("train").durations.sum() for code in index.languages))
        profile = profile_text(sides[loader_side(0)])
    return Figures(rates, len(encoded), seconds, sum(map(len, encoded)) / 1e6, profile)


def profile_text(work: Callable[[], int], *, rows: int = 10) -> str:
    """The functions that take the most time of their own."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(rows)
    return text.getvalue().strip()


def report(figures: Figures) -> None:
    """Print conditions and medians."""
    mean, share = figures.seconds / figures.utterances, figures.megabytes * 1e6 / (figures.seconds * SAMPLE_RATE * 2)
    print("; ".join(f"{name} {value}" for name, value in conditions(threads=1).items()))
    print(f"{figures.utterances} utterances, mean {mean:.1f} s, FLAC at {share:.0%} of PCM, ", end="")
    print(f"{len(figures.rates[MEMORY])} alternating repetitions, medians\n")
    print(f"{'':28}{'per CPU-second':>15}{'per second':>12}{'of memory':>11}{'of files':>10}")
    for side in figures.rates:
        cpu, elapsed = figures.medians(side)
        print(
            f"{side:28}{cpu:15.0f}{elapsed:12.0f}{figures.ratio(side, MEMORY):11.3f}{figures.ratio(side, FILES):10.3f}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if the target is missed, with a profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer utterances and repetitions")
    figures = measure(quick=parser.parse_args(arguments).quick)
    report(figures)
    met = all(figures.ratio(loader_side(workers), MEMORY) >= TARGET for workers in WORKERS)
    print(f"\ntarget: >= {TARGET} of bare decoding from memory, per core: {'met' if met else 'MISSED'}")
    if not met:
        print(f"\n{figures.profile}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
