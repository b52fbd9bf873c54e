"""I1 and I2 on the device: a language's gradients alone and beside others, twice the same, and beside one of NaN."""

import torch

from tests.gpu.bases import check_configs, random_base
from tests.gpu.distance import relative
from tests.gpu.ours import Joint, adapters, settings_of
from tests.gpu.part import Part
from tests.gpu.parts.correctness import NOISE, PASS_SECONDS, VOCABULARIES
from tests.gpu.speech import name, round_of

BOUNDS = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Of gradients alone against gradients beside others, where the passes have other shapes."""


def run(part: Part) -> None:
    for shape, config in check_configs(tiny=part.smoke).items():
        for dtype, bound in BOUNDS.items():
            base = random_base(config, dtype, part.device)
            for setting in settings_of(dtype, part.device, compiled=False, forward_seconds=PASS_SECONDS, dropout=0.1):
                joint = Joint(base, adapters(base, VOCABULARIES, noise=NOISE), setting)
                what = f"{shape}, {str(dtype).removeprefix('torch.')}, {setting}"
                independent(part, joint, what, bound)


def independent(part: Part, joint: Joint, what: str, bound: float) -> None:
    """The checks of one way to compute a round."""
    batches = round_of(3, 1.5 if part.smoke else 4.0, median=1.2, seed=5)
    together, again = joint.gradients(batches)[1], joint.gradients(batches)[1]
    part.record.holds(f"the same round twice gives the same bits, {what}", torch.equal(together, again))
    alone = [joint.gradients([batch])[1][slot] for slot, batch in enumerate(batches)]
    worst = max(relative(together[slot], alone[slot]) for slot in range(3))
    part.record.check(f"beside others as alone, {what}", worst, at_most=bound)
    part.record.note(f"languages with the same bits alone, {what}", sum(map(torch.equal, alone, together)))
    with joint.poisoned(name(2)):
        poisoned = joint.gradients(batches)[1]
    part.record.holds(
        f"NaN in one language leaves every bit of the others, {what}", torch.equal(poisoned[:2], together[:2])
    )
    part.record.holds(f"NaN in one language reaches that language, {what}", bool(poisoned[2].isnan().any()))
