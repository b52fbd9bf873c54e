"""Every copy between host and device, and with it every wait for a device, goes through here.

A GPU works on what it was given while the host goes on; whatever copies a result to the host waits until all of that is
done, and the device then waits for the host. So the ways across are few, each says whether it waits, and a test
replaces this module and counts what a round does. Call them as `transfer.to_host(…)`, never by an imported name.

Read for this: `Tensor.to`, `Tensor.pin_memory` and `torch.cuda.Event` of torch 2.11 and 2.13. A copy to a device with
`non_blocking` does not wait where the host's memory is pinned; from other memory, which the driver copies aside first,
it waits for what is on the stream. A copy to the host with `non_blocking` has ended only when an event recorded behind
it says so.

And `CachingHostAllocatorImpl::allocate` of ATen/core/CachingHostAllocator.h with `allocate_host_memory` for CUDA: a
block of pinned memory is as large as the next power of two, one that was given back is kept for the next of that size,
and where `cudaHostAlloc` fails, C10_CUDA_CHECK raises `torch.AcceleratorError` with CUDA's own text.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_REFUSALS = ("out of memory", "OS call failed")
"""Texts of cudaErrorMemoryAllocation, and of cudaErrorOperatingSystem, where a limit forbids to lock pages. After both
CUDA works on as before."""


@dataclass(frozen=True)
class Arrival:
    """A copy that was begun."""

    event: "torch.cuda.Event | None" = None

    @property
    def is_over(self) -> bool:
        return self.event is None or self.event.query()

    def wait(self) -> None:
        """Return when the copy has ended; not for the thread that gives the device its work."""
        if self.event is not None:
            self.event.synchronize()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`; itself if it is there already. Waits for nothing if it lies in pinned memory."""
    return tensor.to(device, non_blocking=True)


def module_to_device(module: nn.Module, device: torch.device | str) -> nn.Module:
    """All weights of `module`, moved in place."""
    return module.to(device)


def to_host(tensor: Tensor, *, copy: bool = False) -> Tensor:
    """`tensor` on the host; itself if it is there already, and no copy is asked for. Waits for the device."""
    return tensor.detach().to("cpu", copy=copy)


def numbers(*tensors: Tensor) -> list[list[float]]:
    """The values of several tensors of one device, read together. Waits for the device, once."""
    flat = torch.cat([tensor.detach().flatten().to(torch.float64) for tensor in tensors]).tolist()
    sizes = [tensor.numel() for tensor in tensors]
    return [flat[sum(sizes[:place]) : sum(sizes[: place + 1])] for place in range(len(sizes))]


def pinned(size_bytes: int, device: torch.device) -> Tensor | None:
    """Host memory, uint8, that `device` reads and writes by itself; ordinary memory where it is no GPU.

    None: the machine page-locks no more. A GPU's other errors, which may show here as anywhere, are raised.
    """
    if device.type != "cuda":
        return pageable(size_bytes)
    try:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    except torch.AcceleratorError as error:
        if not any(refusal in str(error) for refusal in _REFUSALS):
            raise
    # CUDA remembers the last error of a thread, and who launches the next kernel is given it. Torch clears it before it
    # raises; should that not be enough, as once was reported (of 2.14 on Windows), this launch is given it.
    with contextlib.suppress(RuntimeError):
        torch.ones(1, device=device)
    return None


def pinned_bytes(size_bytes: int, device: torch.device) -> int:
    """What `pinned` takes for so many bytes."""
    return power_of_two(size_bytes) if device.type == "cuda" else size_bytes


def power_of_two(size_bytes: int, *, down: bool = False) -> int:
    """The next one up, or the last one down; 0 stays 0."""
    if size_bytes < 1:
        return 0
    return 1 << (size_bytes.bit_length() - 1 if down else (size_bytes - 1).bit_length())


def pageable(size_bytes: int) -> Tensor:
    """Ordinary host memory, uint8: a copy from it to a GPU waits for what the GPU was given before."""
    return torch.empty(size_bytes, dtype=torch.uint8)


def begin_to_device(block: Tensor, device: torch.device) -> tuple[Tensor, Arrival]:
    """A copy on `device` of a block from `pinned`, which must not be written to before the copy has arrived."""
    copy = block.to(device, non_blocking=True, copy=True)
    return copy, _behind(device)


def begin_to_host(pairs: Sequence[tuple[Tensor, Tensor]]) -> Arrival:
    """Copy each first tensor into the second, a view of memory from `pinned`: not to be read before it has arrived."""
    for tensor, target in pairs:
        target.copy_(tensor.detach(), non_blocking=True)
    return _behind(pairs[0][0].device)


@dataclass(frozen=True)
class Read:
    """A result on its way to the host."""

    target: Tensor
    arrival: Arrival

    def get(self) -> Tensor:
        """It, on the host. Waits until the device has come to it, and not for what the device was given later."""
        self.arrival.wait()
        return self.target


def begin_read(tensor: Tensor) -> Read:
    """Begin to copy a result to the host: `tensor` itself if it is there already."""
    if tensor.device.type == "cpu":
        return Read(tensor.detach(), Arrival())
    # Torch gives pinned memory that was given back again, once no copy uses it. Into other memory the copy waits.
    memory = pinned(tensor.nbytes, tensor.device)
    target = (pageable(tensor.nbytes) if memory is None else memory).view(tensor.dtype).view(tensor.shape)
    return Read(target, begin_to_host([(tensor, target)]))


def _behind(device: torch.device) -> Arrival:
    """When everything that the device was given so far has ended.

    `blocking` is CUDA's cudaEventBlockingSync: whoever waits for the event sleeps, and wakes some microseconds later,
    instead of keeping a core busy, and cores decode audio.
    """
    if device.type != "cuda":
        return Arrival()
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    return Arrival(event)
