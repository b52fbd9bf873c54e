"""Measure the memory of this process."""

import sys

import psutil


def memory_bytes() -> int:
    """Return the peak CUDA memory allocated by this process if it uses CUDA, else its resident memory."""
    torch = sys.modules.get("torch")  # already imported if CUDA is in use
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count())))
    return int(psutil.Process().memory_info().rss)
