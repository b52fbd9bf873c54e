"""Keep freed memory in the process: what one forward pass gives back, the next one takes.

glibc serves large blocks with fresh pages from the kernel and returns them when freed, so a training step on the CPU
pays a page fault for every 4 KiB of every activation, again and again: about a tenth of its time.
"""

import ctypes
import platform

# mallopt(3): from <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse what is freed; False where the C library is another one. Changes no result.

    The process's memory then stays near its highest mark, which a training step reaches every time anyway.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    return all([libc.mallopt(option, value) == 1 for option, value in settings])
