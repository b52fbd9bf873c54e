"""Keep freed memory in the process, so that the next forward pass can reuse it.

By default glibc gets fresh pages from the kernel for every large block and returns them when the block is freed. A
training step on the CPU then has a page fault for every 4 KiB of every activation, about a tenth of its time.
"""

import ctypes
import platform

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
