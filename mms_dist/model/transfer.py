"""All copies between host and device, and therefore all waits for a device.

A GPU runs asynchronously to the host. Copying a result to the host waits until the GPU has finished all queued work,
and the GPU is then idle until the host queues more. So this module has few functions, each says whether it waits, and a
test replaces the module to count what a round does. Call them as `transfer.to_host(…)`, never by an imported name.

Checked in torch 2.11 and 2.13 (`Tensor.to`, `Tensor.pin_memory`, `torch.cuda.Event`): a `non_blocking` copy to a device
does not wait if the host memory is pinned. From pageable memory, which the driver first copies to a staging buffer, it
waits for the stream. A `non_blocking` copy to the host is complete only when an event recorded after it says so.

Also checked: `CachingHostAllocatorImpl::allocate` in ATen/core/CachingHostAllocator.h with `allocate_host_memory` for
CUDA. The size of a pinned block is rounded up to a power of two, a freed block is kept for reuse at that size, and if
`cudaHostAlloc` fails, C10_CUDA_CHECK raises `torch.AcceleratorError` with CUDA's own text.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_REFUSALS = ("out of memory", "OS call failed")
"""Texts of cudaErrorMemoryAllocation and of cudaErrorOperatingSystem (a limit forbids locking pages). CUDA keeps
working after both."""


@dataclass(frozen=True)
class Arrival:
    """A copy in progress."""

    event: "torch.cuda.Event | None" = None

    @property
    def is_over(self) -> bool:
        return self.event is None or self.event.query()

    def wait(self) -> None:
        """Block until the copy is complete; do not call this from the thread that queues the device's work."""
        if self.event is not None:
            self.event.synchronize()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, unchanged if it is already there. Does not wait if `tensor` is in pinned memory."""
    return tensor.to(device, non_blocking=True)


def module_to_device(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Move all weights of `module` to `device`, in place."""
    return module.to(device)


def to_host(tensor: Tensor, *, copy: bool = False) -> Tensor:
    """`tensor` on the host, unchanged if it is already there and `copy` is false. Waits for the device."""
    return tensor.detach().to("cpu", copy=copy)


def numbers(*tensors: Tensor) -> list[list[float]]:
    """The values of several tensors on one device, read together. Waits for the device once."""
    flat = torch.cat([tensor.detach().flatten().to(torch.float64) for tensor in tensors]).tolist()
    sizes = [tensor.numel() for tensor in tensors]
    return [flat[sum(sizes[:place]) : sum(sizes[: place + 1])] for place in range(len(sizes))]


def pinned(size_bytes: int, device: torch.device) -> Tensor | None:
    """Allocate pinned host memory, uint8, that `device` can access directly; ordinary memory if it is not a GPU.

    Returns None if the machine cannot page-lock any more memory. Other GPU errors, which may surface here, are raised.
    """
    if device.type != "cuda":
        return pageable(size_bytes)
    try:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    except torch.AcceleratorError as error:
        if not any(refusal in str(error) for refusal in _REFUSALS):
            raise
    # CUDA remembers a thread's last error and reports it at the next kernel launch. Torch clears it before raising. In
    # case that is not enough (there was one report, for 2.14 on Windows), this launch takes the error.
    with contextlib.suppress(RuntimeError):
        torch.ones(1, device=device)
    return None


def pinned_bytes(size_bytes: int, device: torch.device) -> int:
    """The memory that `pinned` uses for `size_bytes`."""
    return power_of_two(size_bytes) if device.type == "cuda" else size_bytes


def power_of_two(size_bytes: int, *, down: bool = False) -> int:
    """Round up, or down, to a power of two; 0 stays 0."""
    if size_bytes < 1:
        return 0
    return 1 << (size_bytes.bit_length() - 1 if down else (size_bytes - 1).bit_length())


def pageable(size_bytes: int) -> Tensor:
    """Allocate ordinary host memory, uint8. A copy from it to a GPU waits for the work queued before."""
    return torch.empty(size_bytes, dtype=torch.uint8)


def begin_to_device(block: Tensor, device: torch.device) -> tuple[Tensor, Arrival]:
    """Start copying a block from `pinned` to `device`. Do not write to the block before the copy has arrived."""
    copy = block.to(device, non_blocking=True, copy=True)
    return copy, _behind(device)


def begin_to_host(pairs: Sequence[tuple[Tensor, Tensor]]) -> Arrival:
    """Start copying each first tensor into the second, a view of memory from `pinned`. Read it after it has arrived."""
    for tensor, target in pairs:
        target.copy_(tensor.detach(), non_blocking=True)
    return _behind(pairs[0][0].device)


@dataclass(frozen=True)
class Read:
    """A result that is being copied to the host."""

    target: Tensor
    arrival: Arrival

    def get(self) -> Tensor:
        """The result, on the host. Waits for the copy, but not for work queued after it."""
        self.arrival.wait()
        return self.target


def begin_read(tensor: Tensor) -> Read:
    """Start copying a result to the host; `tensor` itself if it is already there."""
    if tensor.device.type == "cpu":
        return Read(tensor.detach(), Arrival())
    # Torch reuses freed pinned memory once no copy uses it. A copy into pageable memory waits.
    memory = pinned(tensor.nbytes, tensor.device)
    target = (pageable(tensor.nbytes) if memory is None else memory).view(tensor.dtype).view(tensor.shape)
    return Read(target, begin_to_host([(tensor, target)]))


def _behind(device: torch.device) -> Arrival:
    """An `Arrival` that completes when all work queued on the device so far is done.

    `blocking` is CUDA's cudaEventBlockingSync: a waiting thread sleeps, and wakes some microseconds late, instead of
    spinning on a core that is needed to decode audio.
    """
    if device.type != "cuda":
        return Arrival()
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    return Arrival(event)
