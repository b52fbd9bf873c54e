"""I3: a language that is absent from a step does not change by a bit."""

import torch

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, needs_two_languages, verdict

WEIGHT_DECAY = 0.1


def absent_language_is_unchanged(bench: Bench) -> Check:
    """Step all languages but the last, with weight decay, while the absent one has momentum and a gradient."""
    claim = "a language absent from a step does not change, not even by weight decay"
    if len(bench.languages) < 2:
        return needs_two_languages("I3", claim)
    *present, absent = bench.languages
    _, grads_SR = bench.gradients(bench.batches.values())
    with bench.kept():
        bench.step([absent], grads_SR)  # so that it has momentum
        before, clock = bench.state(absent), bench.active_languages[absent].progress.to_state()
        states = [bench.state(language) for language in present]
        bench.step(present, grads_SR, weight_decay=WEIGHT_DECAY)
        same = torch.equal(before, bench.state(absent)) and clock == bench.active_languages[absent].progress.to_state()
        unchanged = [c for c, state in zip(present, states, strict=True) if torch.equal(state, bench.state(c))]
    if unchanged:
        return verdict("I3", claim, False, f"{unchanged[0]} took part but did not change")
    measured = f"{absent} absent: compared weights, moments and step count; {len(present)} others changed"
    return verdict("I3", claim, same, measured)
