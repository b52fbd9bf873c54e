"""Gather the tensors of a pass in one block of pinned memory and copy them to the device at once.

Blocks are used in turn. While one is copied to the device, a thread fills the next. A block is filled again only after
its copy has ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.model import transfer
from mms_dist.model.transfer import Arrival

BLOCKS = 3
"""One block being copied to the device, one ready to be copied, one being filled."""
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
        """Return the tensors on the device, by name. Starts the copy without waiting for it."""
        assert self._turn == self._block.turn, "the block was filled for another pass in the meantime"
        copy_N, arrival = transfer.begin_to_device(self._memory_N[: self._layout.bytes], self._device)
        self._block.arrival = arrival
        return self._layout.views(copy_N)


class StagedHere(Staged):
    """Tensors of a pass that is computed on the CPU and needs no copy."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    def on_device(self) -> dict[str, Tensor]:
        return self._tensors


class StagingBlocks:
    """The pinned blocks of one device.

    On a CPU tensors are passed on unchanged, because nothing has to be copied.

    Block sizes are powers of two, as torch allocates pinned memory in no other sizes.

    Args:
        budget_bytes: pinned memory to use, allocated when first needed. A pass that does not fit goes into ordinary
            memory, which gives the same result but is slower: its copy waits for the device. None: no limit.
        copies: whether to use the blocks; True makes tests on a CPU use them too; None: unless the device is the CPU.
        on_notice: called once with the reason if a pass goes into ordinary memory.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        blocks: int = BLOCKS,
        budget_bytes: int | None = None,
        copies: bool | None = None,
        on_notice: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._device = device
        self._block_bytes = None
        if budget_bytes is not None:
            self._block_bytes = transfer.power_of_two(budget_bytes // blocks, down=True)
        self._copies = device.type != "cpu" if copies is None else copies
        self._blocks = [_Block(transfer.pageable(0), Arrival()) for _ in range(blocks)]
        self._turn = 0
        self._on_notice = on_notice
        self._warned = self._refused = False

    @property
    def bytes(self) -> int:
        """Bytes of pinned memory in use."""
        return sum(block.pinned_N.numel() for block in self._blocks)

    def stage(self, tensors: Mapping[str, Tensor]) -> Staged:
        """Put host tensors into the next block, after waiting for its last copy to end. For one thread at a time.

        At most `blocks` passes may be staged without their copies having been started.
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
        """Return the block's pinned memory, enlarged if necessary, or ordinary memory if the pass does not fit."""
        if size_bytes > block.pinned_N.numel() and not self._refused:
            # Allocate the whole budget at once, because torch never frees a block that has become too small.
            wanted_bytes = self._block_bytes or transfer.power_of_two(max(size_bytes, _LEAST_BYTES))
            if self._block_bytes is not None and size_bytes > self._block_bytes:
                self._warn(f"{-(-size_bytes // _MIB):,} MiB, but only {self._block_bytes / _MIB:,.3g} MiB are reserved")
                return transfer.pageable(size_bytes)
            found_N = transfer.pinned(wanted_bytes, self._device)
            if found_N is None:
                self._refused = True
                self._warn(f"{wanted_bytes / _MIB:,.3g} MiB, but the machine page-locks no more memory")
            else:
                block.pinned_N = found_N
        return block.pinned_N if size_bytes <= block.pinned_N.numel() else transfer.pageable(size_bytes)

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            self._on_notice(
                f"copying a forward pass to the device needs {reason}: such passes go through ordinary memory, and "
                "their copies wait for the device; lower rounds.forward_seconds and evaluation.forward_seconds, leave "
                "out longer utterances (data.max_seconds), or give the process more host memory"
            )
