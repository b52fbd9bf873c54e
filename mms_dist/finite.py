"""Whether tensors hold numbers only."""

import torch
from torch import Tensor


def all_finite(tensor: Tensor) -> bool:
    """No NaN or infinity. A finite sum proves it in one pass; only a sum that overflowed needs a closer look."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float64)) or torch.isfinite(tensor).all())
