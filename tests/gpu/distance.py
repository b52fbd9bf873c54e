"""How far a tensor is from what it should be."""

from torch import Tensor


def relative(found: Tensor, expected: Tensor) -> float:
    """‖found - expected‖ / ‖expected‖, in float64 on the CPU; NaN if either has one."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-300))
