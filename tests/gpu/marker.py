"""Whether this machine has a GPU that torch can use, and if not, why."""

import torch


def no_gpu() -> str:
    """The reason, or nothing where there is one."""
    if torch.version.cuda is None:
        return (
            f"found torch {torch.__version__}, which is built without CUDA, expected a build with it and an NVIDIA GPU"
        )
    if not torch.cuda.is_available():
        return f"found no NVIDIA GPU that torch {torch.__version__} can use (nvidia-smi shows what the driver sees)"
    return ""
