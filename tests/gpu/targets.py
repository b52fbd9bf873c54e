"""What DESIGN.md section 6 asks of a GPU, by the names that the parts give their figures."""

from typing import Any

from tests.benchmarks.measure import Target

FLOP_PER_SECOND_OF_AUDIO = {"300m": 72e9, "1b": 211e9}
"""Of the forward pass and the gradients of activations, for utterances of about 8 s."""

UPDATES_A_LANGUAGE = 2000
"""For the figures 'once per language': a process that starts, loads and warms up for every language, then so many
updates of 160 s. Start and rate are both measured; the product of the two is calculated."""

TIMES_EAGER = "{shape}: times the Hugging Face recipe, eager"
TIMES_COMPILED = "{shape}: times the Hugging Face recipe, compiled"
TIMES_EAGER_SPLIT = "{shape}: times the recipe once per language, eager"
TIMES_COMPILED_SPLIT = "{shape}: times the recipe once per language, compiled"
UTILISATION = "{shape}: share of the 8192^3 bfloat16 product"
WAITS = "blocking waits of the host inside a round"
PASSES = "passes for 64 languages x 160 s at 320 s"
PADDING = "padding of these passes"
EVALUATION = "evaluation: times its forward passes alone"
EVALUATION_SHARE = "evaluation: share of a run's time"

_OF_SHAPES = {
    TIMES_EAGER: {"300m": 1.5, "1b": 1.4},
    TIMES_COMPILED: {"300m": 1.25, "1b": 1.2},
    TIMES_EAGER_SPLIT: {"300m": 1.9, "1b": 1.9},
    TIMES_COMPILED_SPLIT: {"300m": 1.6, "1b": 1.6},
    UTILISATION: {"300m": 0.55, "1b": 0.60},
}
TARGETS: dict[str, Target] = {
    name.format(shape=shape): Target("at least", value)
    for name, values in _OF_SHAPES.items()
    for shape, value in values.items()
} | {
    WAITS: Target("at most", 0),
    PASSES: Target("at most", 40),
    PADDING: Target("at most", 0.03),
    EVALUATION: Target("at most", 1.2),
    EVALUATION_SHARE: Target("at most", 0.07),
}


def verdicts(parts: dict[str, Any]) -> dict[str, tuple[float | None, Target, str]]:
    """Of every target: the figure, the target, and `met`, `missed` or `not measured`."""
    figures = {name: value for part in parts.values() for name, value in part["figures"].items()}
    return {
        name: (
            figures.get(name),
            target,
            "not measured" if name not in figures else ("met" if target.is_met(figures[name]) else "missed"),
        )
        for name, target in TARGETS.items()
    }
