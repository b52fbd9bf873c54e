"""I1, spot check: a language's gradient is the same alone and in company.

The full invariant compares 200 steps; here it is one round of the user's own. Not the bits are the same, since the
shapes of the matrices differ, so what is measured is held to the rounding of the arithmetic.
"""

import torch

from mms_dist.debugging.bench import Bench, relative_distance
from mms_dist.debugging.report import Check, needs_two_languages, verdict
from mms_dist.model.routed import RoutedModel

BOUNDS = {torch.float32: 1e-4, torch.float64: 1e-9}


def bound_of(model: RoutedModel) -> float:
    """Relative distance of gradients that differ by rounding alone, in the arithmetic of the model."""
    return BOUNDS[model.base.dtype]


def alone_as_in_company(bench: Bench) -> Check:
    """One round of each language by itself against the round of all together."""
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
    measured = f"distance {distances[worst]:.0e} ≤ {bound:.0e} in {dtype} ({worst} the farthest)"
    return verdict("I1", claim, distances[worst] <= bound, measured)
