"""I3: a language that is not in a step keeps every bit."""

import torch

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import Check, needs_two_languages, verdict

WEIGHT_DECAY = 0.1


def absent_keeps_every_bit(bench: Bench) -> Check:
    """All but the last language take a step, with weight decay, while the absent one has momentum and a gradient."""
    claim = "a language absent from a step keeps every bit, weight decay included"
    if len(bench.languages) < 2:
        return needs_two_languages("I3", claim)
    *present, absent = bench.languages
    _, grads_SR = bench.gradients(bench.batches.values())
    with bench.kept():
        bench.step([absent], grads_SR)  # so that it has momentum
        before, clock = bench.state(absent), bench.active_languages[absent].progress.to_state()
        moved = [bench.state(language) for language in present]
        bench.step(present, grads_SR, weight_decay=WEIGHT_DECAY)
        same = torch.equal(before, bench.state(absent)) and clock == bench.active_languages[absent].progress.to_state()
        stood = [c for c, state in zip(present, moved, strict=True) if torch.equal(state, bench.state(c))]
    if stood:
        return verdict("I3", claim, False, f"{stood[0]} took part, and did not move")
    return verdict("I3", claim, same, f"{absent} absent: weights, moments and clock the same; {len(present)} moved")
