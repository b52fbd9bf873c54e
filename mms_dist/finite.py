"""Check tensors for NaN and infinity."""

import torch
from torch import Tensor


def all_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite. A finite sum proves it in one pass; otherwise every value is checked."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float64)) or torch.isfinite(tensor).all())
