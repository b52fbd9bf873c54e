"""All communication between the ranks of a run. Only this module and `process_group` import torch.distributed.

Every round has one all-reduce of a small vector (`all_reduce_max`). The gradients of a shared language are summed over
its rank group (`reduce`). When a language changes owners, its state is sent (`send`, `receive`). Reports are collected
on rank 0 from time to time (`collect`). Everything except GPU gradients goes over gloo between host memories.

All ranks of a group must make the same calls in the same order. No collective is called on an error path.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mms_dist.distributed.failure_report import FailureReport
from mms_dist.distributed.placement import RankGroup
from mms_dist.distributed.watchdog import NoWatchdog, Watchdog
from mms_dist.errors import CommError, ExitCode, MmsDistError, PeerError, StoppedEarly
from shards.errors import ShardsError, first_line

_T = TypeVar("_T")
COLLECTIVE_TIMEOUT = timedelta(days=7)
"""It is this long because the watchdog finds ranks that hang."""


@dataclass
class SentBytes:
    """Bytes this rank has sent so far, by kind."""

    all_reduced: int = 0
    """The vector reduced at every round edge."""
    gradients: int = 0
    """Gradients of shared languages."""
    moved: int = 0
    """Languages sent to other owners."""
    gathered: int = 0
    """Transcripts, reports and everything exchanged at the start."""


@dataclass
class Comm:
    """One rank's communicator. With a world size of 1, every call returns immediately."""

    rank: int = 0
    world: int = 1
    watchdog: Watchdog | NoWatchdog = field(default_factory=NoWatchdog)
    traffic: SentBytes = field(default_factory=SentBytes)
    _groups: dict[RankGroup, Any] = field(default_factory=dict)
    failure_report: FailureReport | None = None
    """Reports of other ranks that failed; None in a single process."""
    stop_requested: Callable[[], bool] | None = None
    """Ends waits before the first round; None after it."""
    at_first_round: Callable[[], None] = lambda: None
    """Called once, when the first round begins."""

    def first_round(self) -> None:
        """Mark the start of the first round. From now on all ranks agree on a stop, and waits are no longer printed."""
        self.stop_requested = None
        self.at_first_round()

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes the run directory's shared files and the console output."""
        return self.rank == 0

    # -- at the start ---------------------------------------------------------------------------------------------

    def run_on_all_ranks(self, work: Callable[[], _T]) -> _T:
        """Do `work` on every rank; if it fails on any rank, fail on all.

        Raises:
            MmsDistError, ShardsError: on the first rank that failed, its own error.
            PeerError: on all other ranks.
        """
        result, problem = None, None
        try:
            result = work()
        except (MmsDistError, ShardsError) as error:
            problem = error
        failures = self.all_gather(
            None
            if problem is None
            else (problem.found, problem.fix, int(getattr(problem, "exit_code", ExitCode.USER_ERROR)))
        )
        first = next(((rank, *failure) for rank, failure in enumerate(failures) if failure is not None), None)
        if first is not None:
            rank, found, fix, exit_code = first
            if problem is not None and self.rank == rank:
                raise problem
            raise PeerError(f"rank {rank} could not start: {found}", exit_code, fix)
        return result  # type: ignore[return-value]

    def all_gather(self, item: _T) -> list[_T]:
        """Return every rank's item, in rank order."""
        return self.all_gather_in(RankGroup(0, self.world), item)

    def sum_everywhere(self, buffer: Tensor) -> None:
        """Sum `buffer` over all ranks, in place. The watchdog does not watch it, so call it in a thread."""
        if dist.is_initialized():
            dist.all_reduce(buffer)

    def check_stop(self) -> None:
        """Check for a stop request before the first round.

        Raises:
            StoppedEarly: a stop was requested, and the first round has not begun.
        """
        if self.stop_requested is not None and self.stop_requested():
            raise StoppedEarly(f"rank {self.rank} of {self.world} was stopped before the first round")

    # -- every round ------------------------------------------------------------------------------------------------

    def all_reduce_max(self, values: Sequence[int], *, about: str = "the round's edge") -> list[int]:
        """Return the maximum of each value over all ranks, in one small collective."""
        if self.world == 1:
            return list(values)
        vector = torch.tensor(values, dtype=torch.int32)
        with self.waiting_for(about):
            dist.all_reduce(vector, op=dist.ReduceOp.MAX)
        self.traffic.all_reduced += vector.nbytes
        return vector.tolist()

    def reduce(self, group: RankGroup, buffer: Tensor) -> None:
        """Sum `buffer` over the group's ranks, in place; the result has the same bits on each."""
        if group.size == 1:
            return
        with self.waiting_for(f"the gradients shared by ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_reduce(buffer, group=self._group(group))
            if buffer.is_cuda:  # NCCL is asynchronous; wait here, so that a hang is found now and not at the next use
                torch.cuda.synchronize(buffer.device)
        self.traffic.gradients += buffer.nbytes

    def all_gather_in(self, group: RankGroup, item: _T) -> list[_T]:
        """Return the item of every rank of a group, in rank order."""
        if group.size == 1:
            return [item]
        items: list[Any] = [None] * group.size
        with self.waiting_for(f"an all-gather of ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_gather_object(items, item, group=self._group(group))
        self.traffic.gathered += len(pickle.dumps(item))
        return items

    # -- now and then -------------------------------------------------------------------------------------------------

    def collect(self, item: _T) -> list[_T] | None:
        """Return every rank's item on rank 0, and None on the others."""
        if self.world == 1:
            return [item]
        items: list[Any] | None = [None] * self.world if self.is_first else None
        with self.waiting_for("reports"):
            dist.gather_object(item, items, dst=0)
        self.traffic.gathered += len(pickle.dumps(item))
        return items

    def send(self, rank: int, item: object) -> None:
        """Send an item to `rank` and wait until it is received. Its tensors must be on the CPU."""
        payload = torch.frombuffer(bytearray(pickle.dumps(item, protocol=5)), dtype=torch.uint8)
        with self.waiting_for(f"sending a language to rank {rank}"):
            dist.send(torch.tensor([payload.numel()]), dst=rank)
            dist.send(payload, dst=rank)
        self.traffic.moved += payload.nbytes

    def receive(self, rank: int) -> Any:
        """Receive an item from `rank`."""
        size = torch.zeros(1, dtype=torch.int64)
        with self.waiting_for(f"receiving a language from rank {rank}"):
            dist.recv(size, src=rank)
            payload = torch.empty(int(size), dtype=torch.uint8)
            dist.recv(payload, src=rank)
        return pickle.loads(payload.numpy().tobytes())

    def _group(self, group: RankGroup) -> Any:
        """The process group of a rank group. All of its ranks create it at the same point, on first use."""
        if group.size == self.world:
            return dist.group.WORLD
        if group not in self._groups:
            self._groups[group] = dist.new_group(
                list(group.ranks), timeout=COLLECTIVE_TIMEOUT, use_local_synchronization=True
            )
        return self._groups[group]

    def forget_groups(self) -> None:
        """Drop all process groups before they are destroyed; no communication is possible afterwards."""
        self._groups.clear()

    @contextlib.contextmanager
    def waiting_for(self, about: str) -> Iterator[None]:
        """Wrap every call that returns only when other ranks reach the same point.

        Raises:
            PeerError: another rank failed and reported why.
            CommError: another rank is gone.
            StoppedEarly: another rank is gone before the first round, and this rank was asked to stop, too.
        """
        try:
            with self.watchdog.waiting(about):
                yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if self.failure_report is not None and (peer_error := self.failure_report.read()) is not None:
                raise peer_error from error
            if not _is_communication_error(error):
                raise
            if self.stop_requested is not None and self.stop_requested():
                raise StoppedEarly(f"stopped while waiting for {about}") from error
            reason = first_line(error)
            raise CommError(
                f"rank {self.rank} of {self.world} lost a peer while waiting for {about} ({reason})",
                fix=(
                    "look for the rank that failed first, then run the same command again: it continues from the last "
                    "checkpoints"
                ),
            ) from error


def _is_communication_error(error: RuntimeError) -> bool:
    """Whether the communication between ranks failed, rather than a computation inside the wait."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL", "Connection"))
