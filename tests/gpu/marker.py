"""Whether this machine has a GPU that torch can use, and if not, why and what to do."""

import torch

from mms_dist.distributed.device import why_no_gpu


def no_gpu() -> str:
    """The reason, or nothing where there is one."""
    return "" if torch.cuda.is_available() else "found no GPU: {}; {}".format(*why_no_gpu())
