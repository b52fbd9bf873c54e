"""The memory this process uses."""

import sys

import psutil


def memory_bytes() -> int:
    """Peak memory that CUDA allocated for this process if it uses CUDA, else the resident memory of the process."""
    torch = sys.modules.get("torch")  # whoever uses CUDA has imported it
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count())))
    return int(psutil.Process().memory_info().rss)
