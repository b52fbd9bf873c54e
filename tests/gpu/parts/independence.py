"""I1 and I2 on the device: a language's gradients alone and beside others, twice the same, and beside one of NaN.

On a CPU the bits are the same. On a GPU they need not be: in the backward pass, the gradients of gathered weights
(`index_select`) and those of the queries (flash and memory-efficient attention) are summed with atomic additions, in an
order that changes from run to run. There, the difference that NaN in another language makes may be ten times that of
two equal runs, as in `mms-dist debug`.
"""

import torch

from mms_dist.debugging.checks.independence import same_bits
from tests.gpu.bases import check_configs, random_base
from tests.gpu.distance import relative
from tests.gpu.ours import Joint, adapters, settings_of
from tests.gpu.part import Part
from tests.gpu.parts.correctness import NOISE, PASS_SECONDS, VOCABULARIES
from tests.gpu.speech import name, round_of

BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Of gradients alone against gradients beside others, where the passes have other shapes; on a GPU also of one round
done twice."""
REPEATS = "independence: share of the ways to compute a round that give the same bits twice"


def run(part: Part) -> None:
    repeats = []
    for shape, config in check_configs(tiny=part.smoke).items():
        for dtype, bound in BOUNDS.items():
            base = random_base(config, dtype, part.device)
            for setting in settings_of(dtype, part.device, compiled=False, forward_seconds=PASS_SECONDS, dropout=0.1):
                joint = Joint(base, adapters(base, VOCABULARIES, noise=NOISE), setting)
                what = f"{shape}, {str(dtype).removeprefix('torch.')}, {setting}"
                repeats.append(independent(part, joint, what, bound))
    part.record.figure(REPEATS, sum(repeats) / len(repeats))


def independent(part: Part, joint: Joint, what: str, bound: float) -> bool:
    """The checks of one way to compute a round; whether it gave the same bits twice."""
    batches = round_of(3, 1.5 if part.smoke else 4.0, median=1.2, seed=5)
    together, again = joint.gradients(batches)[1], joint.gradients(batches)[1]
    repeats = torch.equal(together, again)
    part.record.check(f"the same round twice, {what}", relative(again, together), at_most=bound if part.on_gpu else 0)
    part.record.note(f"the same round twice gives the same bits, {what}", repeats)
    alone = [joint.gradients([batch])[1][slot] for slot, batch in enumerate(batches)]
    worst = max(relative(together[slot], alone[slot]) for slot in range(3))
    part.record.check(f"beside others as alone, {what}", worst, at_most=bound)
    part.record.note(f"languages with the same bits alone, {what}", sum(map(torch.equal, alone, together)))
    with joint.poisoned(name(2)):
        poisoned = joint.gradients(batches)[1]
    same, told = torch.equal(poisoned[:2], together[:2]), ""
    if part.on_gpu:
        same, told = same_bits(together[:2], again[:2], poisoned[:2])
    finite = bool(poisoned[:2].isfinite().all())
    part.record.holds(f"NaN in one language leaves the others as they were, {what}", same and finite, told)
    part.record.holds(f"NaN in one language reaches that language, {what}", bool(poisoned[2].isnan().any()))
    return repeats
