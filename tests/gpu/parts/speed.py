"""Seconds of audio a second: all languages jointly against the Hugging Face recipe, on the same utterances.

One process; the sides take turns; a repetition is a round that neither side has seen, so every shape of ours is new, as
it is in training. Then a round that was seen, which shows what new shapes cost. Of the recipe's batches a part is drawn
at random, as many as give a steady rate; its rate is by the second of audio.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mms_dist.data.batch import LoadedBatch
from tests.gpu import targets
from tests.gpu.bases import config_of, random_base
from tests.gpu.ours import Joint, adapters, speed_settings
from tests.gpu.part import Part
from tests.gpu.parts.environment import PRODUCT
from tests.gpu.recipe import Ready, Recipe
from tests.gpu.speech import rounds_of
from tests.gpu.timing import once

LANGUAGES, BATCH_SECONDS = 64, 160.0
REPEATS = {"300m": 3, "1b": 2}
RECIPE_BATCHES = 20
"""Of the recipe's 65 or so that a round comes to."""
VOCABULARIES = (33, 60)
"""Smallest and largest of the languages; those between are spread evenly."""
RATE = "{shape}: audio s a second, ours"
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Side:
    """One way to train, its audio a second by repetition, and that on a round seen before."""

    train: Callable[[int], float]
    close: Callable[[], None] = lambda: None
    first_seconds: float = 0.0
    unseen: list[float] = field(default_factory=list)
    seen: float = 0.0

    @property
    def rate(self) -> float:
        return statistics.median(self.unseen)


def run_300m(part: Part) -> None:
    run(part, "300m")


def run_1b(part: Part) -> None:
    run(part, "1b")


def run(part: Part, shape: str) -> None:
    languages, seconds = (2, 3.0) if part.smoke else (LANGUAGES, BATCH_SECONDS)
    repeats = 1 if part.smoke else REPEATS[shape]
    rounds = rounds_of(repeats + 1, languages=languages, seconds=seconds)
    best: dict[str, float] = {}
    for kind in ("eager",) if part.smoke and shape != "300m" else ("eager", "compiled"):
        if not part.has(60 if kind == "compiled" else 0, f"{shape}, {kind}"):
            return
        sides = dict(_ours(part, shape, rounds, compiled=kind == "compiled"))
        sides["recipe"] = _theirs(part, shape, rounds, seconds, compiled=kind == "compiled")
        _measure(part, sides, repeats)
        for name, side in sides.items():
            part.record.note(f"{shape}, {kind}: {name}", _told(side))
        best |= {f"{name}, {kind}": side.rate for name, side in sides.items() if name != "recipe"}
        fastest = max(best, key=lambda name: best[name])
        _figures(part, shape, kind, fastest, best[fastest], sides["recipe"])
        for side in sides.values():
            side.close()
        del sides  # the next kind needs the memory


def _ours(part: Part, shape: str, rounds: list[list[LoadedBatch]], *, compiled: bool) -> Iterator[tuple[str, Side]]:
    """Every way to compute a round that the product has on this device."""
    count, (low, high) = len(rounds[0]), VOCABULARIES
    sizes = [low + (high - low) * number // max(1, count - 1) for number in range(count)]
    for setting in speed_settings(part.device, compiled=compiled):
        base = random_base(config_of(shape, tiny=part.smoke), part.half, part.device)
        joint = Joint(base, adapters(base, sizes), setting)
        if (shape, setting.attention, compiled) == ("300m", "padded", False):
            passes, padding = joint.passes(rounds[1])
            part.record.figure(targets.PASSES, passes)
            part.record.figure(targets.PADDING, padding)

        if joint.compilation is not None:
            part.record.note(f"{shape}: compilation of {setting}", vars(joint.compilation))

        def train(number: int, joint: Joint = joint) -> float:
            return joint.round(rounds[number]).audio_seconds

        yield str(setting), Side(train, joint.close)


def _theirs(part: Part, shape: str, rounds: list[list[LoadedBatch]], seconds: float, *, compiled: bool) -> Side:
    recipe = Recipe(config_of(shape, tiny=part.smoke), part.half, part.device, compiled=compiled)
    ready: dict[int, list[Ready]] = {}
    for number, batches in enumerate(rounds):
        ready[number] = recipe.cut(batches, seconds=seconds, most=RECIPE_BATCHES)

    def train(number: int) -> float:
        recipe.train(ready[number])
        return sum(batch.seconds for batch in ready[number])

    return Side(train)


def _measure(part: Part, sides: dict[str, Side], repeats: int) -> None:
    """Round 0 warms up, rounds 1, 2, … are new to every side, and the last is then seen once more."""
    audio = 0.0

    def timed(side: Side, number: int) -> float:
        def work() -> None:
            nonlocal audio
            audio = side.train(number)

        return once(work, part.device)

    for side in sides.values():
        side.first_seconds = timed(side, 0)
    for number in range(1, repeats + 1):
        for name in list(sides) if number % 2 else list(sides)[::-1]:
            seconds = timed(sides[name], number)
            sides[name].unseen.append(audio / seconds)
    for side in sides.values():
        seconds = timed(side, repeats)
        side.seen = audio / seconds


def _told(side: Side) -> dict[str, object]:
    return {
        "audio s a second, new rounds": side.unseen,
        "audio s a second, a round seen before": side.seen,
        "first round, s": side.first_seconds,
    }


def _figures(part: Part, shape: str, kind: str, fastest: str, rate: float, recipe: Side) -> None:
    """The figures that have targets; `fastest` is the best of ours so far."""
    record = part.record
    times, split = {
        "eager": (targets.TIMES_EAGER, targets.TIMES_EAGER_SPLIT),
        "compiled": (targets.TIMES_COMPILED, targets.TIMES_COMPILED_SPLIT),
    }[kind]
    record.note(f"{shape}: ours against the recipe {kind}", fastest)
    record.figure(RATE.format(shape=shape), rate)
    record.figure(f"{shape}: audio s a second, recipe {kind}", recipe.rate)
    record.figure(times.format(shape=shape), rate / recipe.rate)
    product = part.found("environment", PRODUCT)
    if product:
        flop = targets.FLOP_PER_SECOND_OF_AUDIO[shape]
        record.figure(targets.UTILISATION.format(shape=shape), flop * rate / (product * 1e12))
    if part.smoke or not part.has(25, f"{shape}: once per language, {kind}"):
        return
    start = _start_seconds(part, shape, kind)
    record.note(f"{shape}: s from a process's start to its second update, recipe {kind}", start)
    audio = targets.UPDATES_A_LANGUAGE * BATCH_SECONDS
    theirs = LANGUAGES * (start + audio / recipe.rate)
    record.figure(split.format(shape=shape), theirs / (start + LANGUAGES * audio / rate))


def _start_seconds(part: Part, shape: str, kind: str) -> float:
    command = [sys.executable, "-m", "tests.gpu.recipe_start", shape]
    command += ["--compiled"] if kind == "compiled" else []
    return once(lambda: subprocess.run(command, cwd=ROOT, check=True, timeout=part.left()), part.device)
