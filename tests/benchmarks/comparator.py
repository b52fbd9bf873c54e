"""Eight low-resource languages jointly against the Hugging Face adapter recipe run once per language.

Whole processes, as a user starts them: import, load, train, save. Same shards, base, batches, number of updates,
precision and threads; no evaluation on either side. Four ways to look at it:

* `one process a language`: the recipe as it is published, a script for a language;
* `one process`: the recipe in a loop, which imports once. A stricter reference than the target asks for;
* `training only`: the rounds of mms-dist (reading and decoding shards, checkpoints at start and end included)
  against `Trainer.train()` alone (audio decoded in memory beforehand, nothing saved);
* on our side also without the front end's output remembered between epochs (`model.feature_cache_gib: 0`), as Hugging
  Face does not remember it either.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from mms_dist.config import parse_config
from shards.index import ShardIndex
from tests.benchmarks.bases import random_base
from tests.benchmarks.corpora import mixed_shards
from tests.benchmarks.measure import Measurement, Target

FASTER = Target("at least", 1.5)
NOT_SLOWER = Target("at least", 1.0)


@dataclass(frozen=True)
class Case:
    """One configuration of both sides.

    Attributes:
        base: a shape of `bases.SHAPES`; its weights are random.
        precisions: how the recipe is run; the fastest counts.
        batches: the recipe's batching; the fastest counts.
    """

    languages: int = 8
    steps: int = 60
    batch_seconds: float = 16.0
    utterances: int = 60
    base: str = "tiny"
    dtype: str = "float32"
    batches: tuple[str, ...] = ("planned", "grouped")
    target: Target = NOT_SLOWER
    repeats: int = 3
    split_processes: bool = True
    both_caches: bool = False

    @property
    def precisions(self) -> tuple[str, ...]:
        return ("float32",) if self.dtype == "float32" else ("autocast", "pure")

    def __str__(self) -> str:
        return f"{self.languages} x {self.steps} updates of {self.batch_seconds:g} s, {self.base} base, {self.dtype}"


CASES = (
    Case(target=FASTER, both_caches=True, batches=("planned",), repeats=2),
    Case(dtype="bfloat16", batches=("planned",), target=FASTER, repeats=1),
    Case(languages=1),
    Case(languages=1, dtype="bfloat16"),
    Case(languages=2, batch_seconds=64.0, steps=12, batches=("planned",), repeats=1),
    Case(steps=300, batch_seconds=8.0, target=FASTER, both_caches=True, batches=("planned",), repeats=1),
    Case(languages=2, steps=2, batch_seconds=20.0, base="300m", batches=("planned",), repeats=1),
    Case(languages=2, steps=3, batch_seconds=20.0, base="300m", dtype="bfloat16", batches=("planned",), repeats=1),
)
QUICK = (
    Case(
        languages=2,
        steps=2,
        batch_seconds=6.0,
        utterances=8,
        base="tiny",
        batches=("planned",),
        repeats=1,
        split_processes=False,
    ),
)


def run(*, quick: bool) -> Iterator[Measurement]:
    """Every case."""
    for case in QUICK if quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            yield from Comparison(case, Path(folder)).measurements()


@dataclass
class Sides:
    """Figures of every repetition of one way to do the work: totals over its processes."""

    results: list[dict[str, float]] = field(default_factory=list)

    def median(self, name: str) -> float:
        return median(result[name] for result in self.results)


class Comparison:
    """Runs a case's processes in turn."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        shards = mixed_shards(folder, languages=case.languages, utterances=case.utterances)
        self.languages = ShardIndex.load(str(shards)).languages
        base = str(random_base(folder / "base", case.base, dtype=case.dtype))
        self.settings: dict[str, Any] = {
            "run": {"device": "cpu", "threads": int(os.environ["OMP_NUM_THREADS"])},
            "model": {"base": base, "dtype": case.dtype},
            "data": {"shards": str(shards)},
            "optim": {
                "steps": case.steps,
                "warmup_steps": min(10, case.steps - 1),
                "batch_seconds": case.batch_seconds,
            },
        }
        self._runs = 0

    def measurements(self) -> Iterator[Measurement]:
        sides = self._sides()
        for repetition in range(self.case.repeats):
            names = list(sides) if repetition % 2 == 0 else list(sides)[::-1]
            for name in names:
                sides[name][0].results.append(sides[name][1]())
        figures = {name: side for name, (side, _) in sides.items()}
        self._check_same_work(figures)
        loops = {name: side for name, side in figures.items() if name.startswith("one process, ")}
        best = min(loops, key=lambda name: loops[name].median("wall_seconds"))
        details = {
            f"{name} [s]": {
                key: round(side.median(key), 2)
                for key in side.results[0]
                if key.endswith("_seconds") and key != "audio_seconds"
            }
            for name, side in figures.items()
        } | {"audio [s]": round(figures["ours"].median("audio_seconds"))}
        split = {name: side for name, side in figures.items() if name.startswith("one process a language")}
        for name, side in split.items():
            yield self._line(figures["ours"], side, "wall_seconds", name, self.case.target, details)
        yield self._line(figures["ours"], figures[best], "wall_seconds", best, NOT_SLOWER, details)
        yield self._line(figures["ours"], figures[best], "train_seconds", f"training only, {best}", NOT_SLOWER, {})
        if self.case.both_caches:
            anew = figures["ours, nothing remembered"]
            yield self._line(anew, figures[best], "wall_seconds", f"{best}; nothing remembered", NOT_SLOWER, {})
            yield self._line(
                anew, figures[best], "train_seconds", f"training only, {best}; nothing remembered", NOT_SLOWER, {}
            )

    def _sides(self) -> dict[str, tuple[Sides, Callable[[], dict[str, float]]]]:
        sides: dict[str, tuple[Sides, Callable[[], dict[str, float]]]] = {"ours": (Sides(), self._ours)}
        if self.case.both_caches:
            sides["ours, nothing remembered"] = (Sides(), lambda: self._ours(feature_cache_gib=0.0))
        for batches in self.case.batches:
            for precision in self.case.precisions:
                how = f"{precision}, {batches} batches"
                sides[f"one process, {how}"] = (Sides(), self._recipe(batches, precision, split=False))
        if self.case.split_processes:
            how = (self.case.batches[0], self.case.precisions[-1])
            sides[f"one process a language, {how[1]}, {how[0]} batches"] = (Sides(), self._recipe(*how, split=True))
        return sides

    def _ours(self, **model: float) -> dict[str, float]:
        config = self._config(model)
        return self._process("tests.benchmarks.joint", config)

    def _recipe(self, batches: str, precision: str, *, split: bool) -> Callable[[], dict[str, float]]:
        groups = [[language] for language in self.languages] if split else [list(self.languages)]

        def work() -> dict[str, float]:
            config, totals = self._config({}), {}
            for group in groups:
                job = {
                    "config": str(config),
                    "languages": group,
                    "batches": batches,
                    "precision": precision,
                    "output": str(self.folder / f"recipe-{self._runs}"),
                }
                path = self.folder / "job.json"
                path.write_text(json.dumps(job), encoding="utf-8")
                result = self._process("tests.benchmarks.hugging_face", path)
                totals = {name: totals.get(name, 0.0) + value for name, value in result.items()}
            return totals

        return work

    def _config(self, model: dict[str, float]) -> Path:
        """A configuration with a run directory of its own."""
        self._runs += 1
        directory = {"directory": str(self.folder / f"run-{self._runs}")}
        settings = self.settings | {
            "run": self.settings["run"] | directory,
            "model": self.settings["model"] | model,
        }
        path = self.folder / f"config-{self._runs}.yaml"
        path.write_text(parse_config(settings).to_yaml(), encoding="utf-8")
        return path

    def _process(self, module: str, argument: Path) -> dict[str, float]:
        """Run a side's process; its own figures and its seconds from start to end."""
        result, log = self.folder / "result.json", self.folder / "process.log"
        began, cpu_began = perf_counter(), _children_cpu_seconds()
        with open(log, "w", encoding="utf-8") as stream:
            status = subprocess.run(
                [sys.executable, "-m", module, str(argument), str(result)], stdout=stream, stderr=stream, check=False
            ).returncode
        wall, cpu = perf_counter() - began, _children_cpu_seconds() - cpu_began
        if status != 0:
            raise RuntimeError(f"{module} ended with status {status}:\n{log.read_text(encoding='utf-8')[-4000:]}")
        figures: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
        return figures | {"wall_seconds": wall, "cpu_seconds": cpu}

    def _check_same_work(self, figures: dict[str, Sides]) -> None:
        """Planned batches hold the same audio on both sides; to what grouped ones hold, their training is scaled."""
        audio = figures["ours"].median("audio_seconds")
        updates = self.case.steps * len(self.languages)
        for name, side in figures.items():
            for result in side.results:
                found = result["audio_seconds"]
                if "grouped" in name:
                    scaled = result["train_seconds"] * audio / found
                    result["wall_seconds"] += scaled - result["train_seconds"]
                    result["train_seconds"] = scaled
                elif abs(found - audio) > 1e-6 * audio or result["updates"] != updates:
                    raise RuntimeError(
                        f"{name}: {result['updates']:g} updates on {found:.1f} s of audio; expected {updates} on "
                        f"{audio:.1f} s"
                    )

    def _line(
        self, ours: Sides, reference: Sides, what: str, name: str, target: Target, details: dict[str, Any]
    ) -> Measurement:
        ratios = [theirs[what] / mine[what] for mine, theirs in zip(ours.results, reference.results, strict=True)]
        return Measurement(
            "comparator",
            f"{self.case}; against {name}",
            ours.median(what),
            reference.median(what),
            "s",
            median(ratios),
            "seconds of the Hugging Face recipe / seconds of mms-dist",
            target,
            details=details,
        )


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
