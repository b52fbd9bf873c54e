"""Cache front-end features of earlier epochs in host memory.

Features are in page-locked memory, in the model's precision. They are copied there asynchronously after the pass that
computed them. Nothing is evicted from a full cache: every utterance is needed once per epoch, so an evicted one would
always be needed before its replacement. Features that do not fit may go to a disk.

Legend: T frames, C front-end channels.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from mms_dist.data.batch import FeatureKey
from mms_dist.features.feature_spill import FeatureSpill
from mms_dist.model import transfer
from mms_dist.model.transfer import Arrival

SLAB_BYTES = 16 << 20
"""Page-locked memory allocated at a time for a language, because allocating is slow. On average half a slab per
language stays unused."""


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
    """Caches features [T, C] by `FeatureKey`. The thread that prepares passes and the main thread may both use it.

    Args:
        device: device that computes the features.
        budget_bytes: host memory for the cache, without that of the spill.
        spill: takes features that do not fit; None: they are computed again.
        slab_bytes: memory allocated at a time; 0: only what is needed; None: a default for the device.
        on_notice: called once if the machine refuses to page-lock more memory before the budget is reached.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        budget_bytes: int,
        spill: FeatureSpill | None = None,
        slab_bytes: int | None = None,
        on_notice: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._device = device
        self._on_notice = on_notice
        self._refused = False
        """Whether the machine has refused to page-lock more memory."""
        self._on_its_way = _Slab(transfer.pageable(0))
        """The last slab allocated for features waiting to be spilled. It is freed when all of them are written."""
        self._room_bytes = budget_bytes
        self._slab_bytes = (SLAB_BYTES if device.type == "cuda" else 0) if slab_bytes is None else slab_bytes
        self._spill = spill
        self._lock = Lock()
        """Held only briefly, because the main thread takes it during a pass."""
        self._memory_lock = Lock()
        """Held while memory is being page-locked, which takes milliseconds."""
        self._kept: dict[FeatureKey, _Kept] = {}
        self._reserved: dict[FeatureKey, Tensor] = {}
        self._slabs: defaultdict[str, list[_Slab]] = defaultdict(list)

    def get(self, key: FeatureKey) -> Tensor | None:
        """Return cached features, if any; waits until they have arrived from the device or are read from the disk."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            kept.arrival.wait()
            return kept.features_TC
        return None if self._spill is None else self._spill.read(key)

    def reserve(self, key: FeatureKey, shape_TC: tuple[int, int], dtype: torch.dtype) -> None:
        """Allocate memory for features that will be computed soon, if there is room. Slow, so call it in the thread."""
        with self._lock:
            if key in self._reserved or key in self._kept:
                return
        size_bytes = shape_TC[0] * shape_TC[1] * dtype.itemsize
        with self._memory_lock:
            memory_N = self._take(key.utterance.language, size_bytes)
        if memory_N is None and self._spill is not None and self._spill.expect(key, size_bytes):
            with self._memory_lock:
                memory_N = self._take_for_spill(self._spill, size_bytes)
            if memory_N is None:
                self._spill.withdraw(key)
        if memory_N is not None:
            with self._lock:
                self._reserved[key] = memory_N.view(dtype).view(shape_TC)

    def fill(self, computed: Mapping[FeatureKey, Tensor]) -> None:
        """Keep the features for which memory was reserved. Starts the copies without waiting for them."""
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
        """Write the features to spill that have arrived from the device. Call it in the thread."""
        if self._spill is not None:
            self._spill.write_behind()

    def forget(self, language: str) -> None:
        """Free the memory of a language that is no longer active."""
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

    def _take_for_spill(self, spill: FeatureSpill, size_bytes: int) -> Tensor | None:
        found = self._on_its_way.take(size_bytes)
        if found is None:
            memory_N = self._memory(self._slab_of(size_bytes, most_bytes=min(self._slab_bytes, spill.slab_bytes)))
            if memory_N is None:
                return None
            self._on_its_way = _Slab(memory_N)
            found = self._on_its_way.take(size_bytes)
        return found

    def _slab_of(self, size_bytes: int, *, most_bytes: int) -> int:
        """Return a slab size that pinned memory comes in: at most `most_bytes`, unless `size_bytes` needs more."""
        slab_bytes = transfer.pinned_bytes(most_bytes, self._device)
        if slab_bytes > most_bytes:
            slab_bytes //= 2
        return max(transfer.pinned_bytes(size_bytes, self._device), slab_bytes)

    def _memory(self, size_bytes: int) -> Tensor | None:
        """Page-lock memory; None once the machine refuses to page-lock more."""
        memory_N = None if self._refused else transfer.pinned(size_bytes, self._device)
        if memory_N is None and not self._refused:
            self._refused = True
            held_gib = sum(slab.memory_N.numel() for slabs in self._slabs.values() for slab in slabs) / 2**30
            self._on_notice(
                f"the machine page-locks no more memory than {held_gib:.2f} GiB for front-end features: features that "
                "do not fit are computed again in every epoch; lower model.feature_cache_gib, or give the process more "
                "host memory"
            )
        return memory_N
