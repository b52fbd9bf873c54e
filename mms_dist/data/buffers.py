"""Memory for decoded audio, used again when nothing refers to it any more.

An array of audio is large enough that the C library takes fresh pages for it and gives them back, and the page faults
cost about a tenth of what decoding costs. A round needs much the same memory as the round before it.
"""

import weakref
from collections import defaultdict, deque

import numpy as np

from shards.schema import SAMPLE_RATE

_BYTES_PER_SECOND = 2 * SAMPLE_RATE


class _Lease(weakref.ref[np.ndarray]):
    """Tells when an array, and every view of it, is gone; knows the block of memory that it used."""

    __slots__ = ("block", "seconds")
    block: memoryview
    seconds: int


class AudioBuffers:
    """Gives int16 arrays and takes their memory back by itself; safe for several threads.

    Args:
        keep_bytes: most bytes of unused memory to keep.
    """

    def __init__(self, keep_bytes: int = 256 << 20) -> None:
        self._keep_bytes = keep_bytes
        # Whole seconds to blocks of that length. Only operations that the interpreter makes atomic are used on
        # these, and no lock: memory comes back in whatever thread, at whatever moment, an array dies.
        self._free: defaultdict[int, deque[memoryview]] = defaultdict(deque)
        self._leases: dict[int, _Lease] = {}

    def lease(self, samples: int) -> np.ndarray:
        """An int16 array [samples] of any content. Its memory is used again once it and all its views are gone."""
        seconds = max(1, -(-samples // SAMPLE_RATE))
        try:
            block = self._free[seconds].pop()
        except IndexError:
            block = np.empty(seconds * SAMPLE_RATE, dtype=np.int16).data
        # Over a memoryview, not over an array: then views of this array refer to it, and not past it to its base.
        audio_S = np.frombuffer(block, dtype=np.int16, count=samples)
        lease = _Lease(audio_S, self._take_back)
        lease.block, lease.seconds = block, seconds
        self._leases[id(lease)] = lease
        return audio_S

    @property
    def free_bytes(self) -> int:
        """Bytes of memory kept for later."""
        return sum(len(blocks) * seconds for seconds, blocks in list(self._free.items())) * _BYTES_PER_SECOND

    def _take_back(self, lease: weakref.ref[np.ndarray]) -> None:
        assert isinstance(lease, _Lease)
        del self._leases[id(lease)]
        if self.free_bytes + lease.seconds * _BYTES_PER_SECOND <= self._keep_bytes:
            self._free[lease.seconds].append(lease.block)
