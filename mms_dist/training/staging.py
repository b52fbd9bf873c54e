"""What a pass needs on the device, put into one block of pinned memory and copied at once.

Blocks are used in turn. One is copied to the device while the next is being filled, by a thread; it is filled again
only when its copy has ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist import transfer
from mms_dist.transfer import Arrival

BLOCKS = 3
"""One that the device reads, one that is ready for it, one that is being filled."""
_ALIGN_BYTES = 256
_LEAST_BYTES = 1 << 20
_MIB = 1 << 20


@dataclass
class _Block:
    pinned_N: Tensor
    arrival: Arrival
    turn: int = -1


@dataclass(frozen=True)
class _Part:
    start: int
    end: int
    dtype: torch.dtype
    shape: torch.Size

    def of(self, memory_N: Tensor) -> Tensor:
        return memory_N[self.start : self.end].view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class _Layout:
    """Where each tensor lies in a block, and how long the block is."""

    parts: Mapping[str, _Part]
    bytes: int

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "_Layout":
        parts, end = {}, 0
        for name, tensor in tensors.items():
            start = -(-end // _ALIGN_BYTES) * _ALIGN_BYTES
            end = start + tensor.numel() * tensor.element_size()
            parts[name] = _Part(start, end, tensor.dtype, tensor.shape)
        return cls(parts, end)

    def views(self, memory_N: Tensor) -> dict[str, Tensor]:
        return {name: part.of(memory_N) for name, part in self.parts.items()}


class Staged:
    """Tensors of one pass, ready to be copied."""

    def __init__(self, device: torch.device, layout: _Layout, block: _Block, memory_N: Tensor) -> None:
        self._device = device
        self._layout = layout
        self._block = block
        self._memory_N = memory_N
        self._turn = block.turn

    def on_device(self) -> dict[str, Tensor]:
        """Them on the device, under their names. Begins the copy and waits for nothing."""
        assert self._turn == self._block.turn, "the block was filled for another pass in the meantime"
        copy_N, arrival = transfer.begin_to_device(self._memory_N[: self._layout.bytes], self._device)
        self._block.arrival = arrival
        return self._layout.views(copy_N)


class StagedHere(Staged):
    """Tensors of a pass that is computed on the CPU: they are where they have to be."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    def on_device(self) -> dict[str, Tensor]:
        return self._tensors


class StagingBlocks:
    """The pinned blocks of one device.

    On a CPU there is nothing to copy: tensors are handed on as they are.

    Their sizes are powers of two, as torch takes pinned memory in no others.

    Args:
        budget_bytes: of pinned memory, taken when it is first needed. A pass that does not fit goes into ordinary
            memory, which is right and slower: the copy then waits for the device. None: as much as the passes need.
        copies: go through the blocks on a CPU as well, as tests do.
        tell: is given, once, why a pass went into ordinary memory.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        blocks: int = BLOCKS,
        budget_bytes: int | None = None,
        copies: bool | None = None,
        tell: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._device = device
        self._block_bytes = None
        if budget_bytes is not None:
            self._block_bytes = transfer.power_of_two(budget_bytes // blocks, down=True)
        self._copies = device.type != "cpu" if copies is None else copies
        self._blocks = [_Block(transfer.pageable(0), Arrival()) for _ in range(blocks)]
        self._turn = 0
        self._tell = tell
        self._told = self._refused = False

    @property
    def bytes(self) -> int:
        """Of pinned memory held."""
        return sum(block.pinned_N.numel() for block in self._blocks)

    def stage(self, tensors: Mapping[str, Tensor]) -> Staged:
        """Put tensors of the host into the next block. Waits until its last copy has ended; for one thread at a time.

        Of the passes staged here, at most `blocks` may be under way: staged, and not yet begun to be copied.
        """
        if not self._copies:
            return StagedHere(tensors)
        layout = _Layout.of(tensors)
        block = self._blocks[self._turn % len(self._blocks)]
        block.arrival.wait()
        block.turn = self._turn
        self._turn += 1
        memory_N = self._memory(block, layout.bytes)
        for name, view in layout.views(memory_N).items():
            view.copy_(tensors[name])
        return Staged(self._device, layout, block, memory_N)

    def _memory(self, block: _Block, size_bytes: int) -> Tensor:
        """The block's own if the pass fits into it, or what it can have now; else ordinary memory, for this pass."""
        if size_bytes > block.pinned_N.numel() and not self._refused:
            # All of the budget at once: torch keeps a block that was outgrown.
            wanted_bytes = self._block_bytes or transfer.power_of_two(max(size_bytes, _LEAST_BYTES))
            if self._block_bytes is not None and size_bytes > self._block_bytes:
                self._say(f"{-(-size_bytes // _MIB):,} MiB, and {self._block_bytes / _MIB:,.3g} MiB are there for it")
                return transfer.pageable(size_bytes)
            found_N = transfer.pinned(wanted_bytes, self._device)
            if found_N is None:
                self._refused = True
                self._say(f"{wanted_bytes / _MIB:,.3g} MiB, and the machine page-locks no more")
            else:
                block.pinned_N = found_N
        return block.pinned_N if size_bytes <= block.pinned_N.numel() else transfer.pageable(size_bytes)

    def _say(self, reason: str) -> None:
        if not self._told:
            self._told = True
            self._tell(
                f"a forward pass on its way to the device takes {reason}: it goes through ordinary memory, and the "
                "copies of such passes wait for the device; lower rounds.forward_seconds and "
                "evaluation.forward_seconds, leave out longer utterances (data.max_seconds), or give the process more "
                "host memory"
            )
