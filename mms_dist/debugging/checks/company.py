"""I1, spot check: a language's gradient is the same alone and with other languages.

The full invariant compares 200 steps; this checks one round of the user's data. The gradients are not bit-identical,
because the matrices have other shapes, so their distance is compared with the rounding error of the data type.
"""

import torch

from mms_dist.debugging.bench import Bench, relative_distance
from mms_dist.debugging.debug_report import Check, needs_two_languages, verdict
from mms_dist.model.routed import RoutedModel

BOUNDS = {torch.float32: 1e-4, torch.float64: 1e-9}


def bound_of(model: RoutedModel) -> float:
    """Return the largest relative distance of gradients that differ only by rounding in the model's data type."""
    return BOUNDS[model.base.dtype]


def same_alone_and_together(bench: Bench) -> Check:
    """Compare one round of each language alone with one round of all languages together."""
    claim = "a language's gradient is the same alone and with the others"
    if len(bench.languages) < 2:
        return needs_two_languages("I1", claim)
    through = bench.gradient_pass(bench.exact)
    _, joint_SR = bench.gradients(bench.batches.values(), through)
    distances = {}
    for language, active in bench.active_languages.items():
        _, alone_SR = bench.gradients([bench.batches[language]], through)
        distances[language] = relative_distance(joint_SR[active.slot], alone_SR[active.slot])
    worst = max(distances, key=lambda language: distances[language])
    bound, dtype = bound_of(bench.exact), str(bench.exact.base.dtype).removeprefix("torch.")
    measured = f"distance {distances[worst]:.0e} ≤ {bound:.0e} in {dtype} (largest: {worst})"
    return verdict("I1", claim, distances[worst] <= bound, measured)
