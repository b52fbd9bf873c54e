"""Front-end features of earlier epochs, on the host.

They lie in memory that the device copies to and from by itself, in the model's precision, and come there behind the
pass that computed them, without a wait. Full means full: nothing is evicted, since every utterance is needed once an
epoch and the last one evicted would always be the next one missed. What finds no room may go to a disk.

Legend: T frames, C front-end channels.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from mms_dist import transfer
from mms_dist.data.batch import FeatureKey
from mms_dist.training.feature_spill import FeatureSpill
from mms_dist.transfer import Arrival

SLAB_BYTES = 16 << 20
"""Of page-locked memory taken at a time, for a language: taking it is slow. A language leaves half of one unused."""


@dataclass(frozen=True)
class _Kept:
    features_TC: Tensor
    arrival: Arrival


@dataclass
class _Slab:
    memory_N: Tensor
    used: int = 0

    def take(self, size_bytes: int) -> Tensor | None:
        if self.used + size_bytes > self.memory_N.numel():
            return None
        self.used += size_bytes
        return self.memory_N[self.used - size_bytes : self.used]


class FeatureStore:
    """Features [T, C] by what they were computed from; safe for the thread that prepares passes and the main thread.

    Args:
        device: where features are computed.
        budget_bytes: of memory, besides that of the spill.
        spill: where the rest goes; None: it is computed again.
        slab_bytes: memory taken at a time; 0: as much as is needed. None: as suits the device.
        tell: is given, once, that the machine page-locks no more before the budget is reached.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        budget_bytes: int,
        spill: FeatureSpill | None = None,
        slab_bytes: int | None = None,
        tell: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._device = device
        self._tell = tell
        self._refused = False
        """Memory, by the machine."""
        self._on_its_way = _Slab(transfer.pageable(0))
        """To the disk: the last slab taken for it. It is given back when all that is in it has been written."""
        self._room_bytes = budget_bytes
        self._slab_bytes = (SLAB_BYTES if device.type == "cuda" else 0) if slab_bytes is None else slab_bytes
        self._spill = spill
        self._lock = Lock()
        """Held for a moment; the main thread takes it in a pass."""
        self._memory_lock = Lock()
        """Held while memory is page-locked, which takes milliseconds."""
        self._kept: dict[FeatureKey, _Kept] = {}
        self._reserved: dict[FeatureKey, Tensor] = {}
        self._slabs: defaultdict[str, list[_Slab]] = defaultdict(list)

    def get(self, key: FeatureKey) -> Tensor | None:
        """What is remembered; waits until it has come from the device, or off the disk."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            kept.arrival.wait()
            return kept.features_TC
        return None if self._spill is None else self._spill.read(key)

    def reserve(self, key: FeatureKey, shape_TC: tuple[int, int], dtype: torch.dtype) -> None:
        """Take memory for features that will be computed soon, if there is room. Slow, and so done by the thread."""
        with self._lock:
            if key in self._reserved or key in self._kept:
                return
        size_bytes = shape_TC[0] * shape_TC[1] * dtype.itemsize
        with self._memory_lock:
            memory_N = self._take(key.utterance.language, size_bytes)
        if memory_N is None and self._spill is not None and self._spill.expect(key, size_bytes):
            with self._memory_lock:
                memory_N = self._take_on_its_way(self._spill, size_bytes)
            if memory_N is None:
                self._spill.withdraw(key)
        if memory_N is not None:
            with self._lock:
                self._reserved[key] = memory_N.view(dtype).view(shape_TC)

    def fill(self, computed: Mapping[FeatureKey, Tensor]) -> None:
        """Keep those of these features for which memory was reserved. Begins copies and waits for nothing."""
        with self._lock:
            wanted = {key: self._reserved.pop(key) for key in computed if key in self._reserved}
            if not wanted:
                return
            arrival = transfer.begin_to_host([(computed[key], target_TC) for key, target_TC in wanted.items()])
            for key, target_TC in wanted.items():
                if self._spill is not None and self._spill.expects(key):
                    self._spill.write_later(key, target_TC, arrival)
                else:
                    self._kept[key] = _Kept(target_TC, arrival)

    def write_behind(self) -> None:
        """Put on the disk what has come from the device for it; for the thread."""
        if self._spill is not None:
            self._spill.write_behind()

    def forget(self, language: str) -> None:
        """Give back the memory of a language that has left."""
        with self._lock:
            for found in (self._kept, self._reserved):
                for key in [key for key in found if key.utterance.language == language]:
                    del found[key]
        with self._memory_lock:
            self._room_bytes += sum(slab.memory_N.numel() for slab in self._slabs.pop(language, []))
        if self._spill is not None:
            self._spill.forget(language)

    def close(self) -> None:
        if self._spill is not None:
            self._spill.close()

    def _take(self, language: str, size_bytes: int) -> Tensor | None:
        slabs = self._slabs[language]
        found = slabs[-1].take(size_bytes) if slabs else None
        if found is not None:
            return found
        slab_bytes = self._slab_of(size_bytes, most_bytes=min(self._slab_bytes, self._room_bytes))
        if slab_bytes > self._room_bytes:
            return None
        memory_N = self._memory(slab_bytes)
        if memory_N is None:
            return None
        self._room_bytes -= slab_bytes
        slabs.append(_Slab(memory_N))
        return slabs[-1].take(size_bytes)

    def _take_on_its_way(self, spill: FeatureSpill, size_bytes: int) -> Tensor | None:
        found = self._on_its_way.take(size_bytes)
        if found is None:
            memory_N = self._memory(self._slab_of(size_bytes, most_bytes=min(self._slab_bytes, spill.slab_bytes)))
            if memory_N is None:
                return None
            self._on_its_way = _Slab(memory_N)
            found = self._on_its_way.take(size_bytes)
        return found

    def _slab_of(self, size_bytes: int, *, most_bytes: int) -> int:
        """For features of this size and others: as large as pinned memory comes, of at most so many bytes if it can."""
        down_bytes = transfer.pinned_bytes(most_bytes, self._device)
        if down_bytes > most_bytes:
            down_bytes //= 2
        return max(transfer.pinned_bytes(size_bytes, self._device), down_bytes)

    def _memory(self, size_bytes: int) -> Tensor | None:
        """None once the machine page-locks no more."""
        memory_N = None if self._refused else transfer.pinned(size_bytes, self._device)
        if memory_N is None and not self._refused:
            self._refused = True
            held_gib = sum(slab.memory_N.numel() for slabs in self._slabs.values() for slab in slabs) / 2**30
            self._tell(
                f"the machine page-locks no more memory than {held_gib:.2f} GiB for front-end features: what finds no "
                "room in it is computed anew in every epoch; lower model.feature_cache_gib, or give the process more "
                "host memory"
            )
        return memory_N
