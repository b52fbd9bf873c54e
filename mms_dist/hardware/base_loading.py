"""Load the frozen base on a device, in the precision that was resolved for it."""

import torch

from mms_dist.config import Config
from mms_dist.distributed.device import use_device
from mms_dist.hardware.hardware import alone
from mms_dist.hardware.resolve import Resolved, resolve
from mms_dist.model.base import DTYPES, FrozenBase


def load_base(config: Config, device: torch.device | None = None, resolved: Resolved | None = None) -> FrozenBase:
    """Load the base on its device, in the precision of `resolved`, or in one chosen here for a single process."""
    device = device or use_device(config.run.device)
    dtype = (resolved or resolve(config, alone(device))).dtype
    return FrozenBase.load(config.model.base, dtype=DTYPES[dtype], device=device)
