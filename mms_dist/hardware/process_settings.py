"""CPU settings of this process: torch's threads, and memory that stays in the process after it is freed."""

import ctypes
import platform

import torch


def set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)


# mallopt(3): from <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed memory; return False if the C library is not glibc. Changes no result.

    The process's memory then stays near its peak, which every training step reaches anyway.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    return all([libc.mallopt(option, value) == 1 for option, value in settings])
