"""The learning rate of a language, by its own step count."""

from mms_dist.config import Optim


def learning_rate(step: int, optim: Optim) -> float:
    """Return the learning rate of optimizer step number `step` (the first is 1).

    Linear warm-up to `optim.lr` over `warmup_steps`, then constant, or a linear decay that reaches zero one step after
    `optim.steps`, so that the last step still has an effect. Before the first step (step 0, for example of a language
    quarantined in its first step) it is 0.
    """
    if step < 1:
        return 0.0
    if step <= optim.warmup_steps:
        return optim.lr * step / optim.warmup_steps
    if optim.decay == "constant":
        return optim.lr
    return optim.lr * max(0, optim.steps - step + 1) / max(1, optim.steps - optim.warmup_steps)
