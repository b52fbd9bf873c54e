"""Reuse the memory of decoded audio once nothing refers to it.

Audio arrays are so large that the C library gets fresh pages for each one and returns them afterwards. The page faults
cost about a tenth of the decoding time. Every round needs about the same memory as the previous one.
"""

import weakref
from collections import defaultdict, deque

import numpy as np

from shards.schema import SAMPLE_RATE

_BYTES_PER_SECOND = 2 * SAMPLE_RATE


class _Lease(weakref.ref[np.ndarray]):
    """A weak reference that detects when an array and all its views are gone, and knows its block of memory."""

    __slots__ = ("block", "seconds")
    block: memoryview
    seconds: int


class AudioBuffers:
    """Provides int16 arrays and reclaims their memory automatically. Thread-safe.

    Args:
        keep_bytes: largest amount of unused memory to keep.
    """

    def __init__(self, keep_bytes: int = 256 << 20) -> None:
        self._keep_bytes = keep_bytes
        # Free blocks by length in whole seconds. Only atomic operations are used here instead of a lock, because an
        # array may be destroyed in any thread at any moment, even while that thread holds a lock.
        self._free: defaultdict[int, deque[memoryview]] = defaultdict(deque)
        self._leases: dict[int, _Lease] = {}

    def lease(self, samples: int) -> np.ndarray:
        """Return an uninitialised int16 array [samples]. Its memory is reused once it and all its views are gone."""
        seconds = max(1, -(-samples // SAMPLE_RATE))
        try:
            block = self._free[seconds].pop()
        except IndexError:
            block = np.empty(seconds * SAMPLE_RATE, dtype=np.int16).data
        # From a memoryview and not an array: otherwise numpy makes views refer to the base array instead of this one.
        audio_S = np.frombuffer(block, dtype=np.int16, count=samples)
        lease = _Lease(audio_S, self._take_back)
        lease.block, lease.seconds = block, seconds
        self._leases[id(lease)] = lease
        return audio_S

    @property
    def free_bytes(self) -> int:
        """Bytes of unused memory kept for reuse."""
        return sum(len(blocks) * seconds for seconds, blocks in list(self._free.items())) * _BYTES_PER_SECOND

    def _take_back(self, lease: weakref.ref[np.ndarray]) -> None:
        assert isinstance(lease, _Lease)
        del self._leases[id(lease)]
        if self.free_bytes + lease.seconds * _BYTES_PER_SECOND <= self._keep_bytes:
            self._free[lease.seconds].append(lease.block)
