"""All communication between the ranks of a run; the only module that imports torch.distributed.

Every round has one all-reduce of a small vector (`all_reduce_max`). The gradients of a shared language are summed over
its rank group (`reduce`). When a language changes owners, its state is sent (`send`, `receive`). Reports are collected
on rank 0 from time to time (`collect`). Everything except GPU gradients goes over gloo between host memories.

All ranks of a group must make the same calls in the same order. No collective is called on an error path.
"""

import contextlib
import os
import pickle
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # see _leave_the_groups
from torch import Tensor

from mms_dist.distributed.failure_report import FailureReport
from mms_dist.distributed.place import Place
from mms_dist.distributed.placement import RankGroup
from mms_dist.distributed.reach import wait_for_server
from mms_dist.distributed.rendezvous import LONGEST_START_SECONDS, rendezvous
from mms_dist.distributed.start_notices import StartNotices
from mms_dist.distributed.watchdog import NoWatchdog, Watchdog
from mms_dist.errors import CommError, ConfigError, ExitCode, MmsDistError, PeerError, StoppedEarly
from shards.errors import ShardsError

_T = TypeVar("_T")
_PARTING_SECONDS = 0.3
"""How long rank 0 keeps its store alive after a failed start, so that the others can read why."""
_FOR_EVER = timedelta(days=7)
"""Time-out of a collective. It is this long because the watchdog finds ranks that hang."""


@dataclass
class Traffic:
    """Bytes this rank has sent so far, by kind."""

    agreed: int = 0
    """The vector reduced at every round edge."""
    reduced: int = 0
    """Gradients of shared languages."""
    moved: int = 0
    """Languages sent to other owners."""
    told: int = 0
    """Transcripts, reports and everything exchanged at the start."""


SERVED_STORES: list[dist.Store] = []
"""Stores that this process serves: at most one, kept open until the process ends."""


def store_at(place: Place, timeout_seconds: float, stop_requested: Callable[[], bool] = lambda: False) -> dist.Store:
    """Connect to the run's key-value store. Rank 0 serves it if the launcher does not.

    Raises:
        CommError: the port is taken, or the store cannot be reached within the time-out.
        ConfigError: the first machine's name cannot be resolved.
        StoppedEarly: a stop was requested while waiting for the store.
    """
    serves = place.serves and not SERVED_STORES
    patience = place.patience(stop_requested)

    def client() -> dist.Store:
        timeout = timedelta(seconds=timeout_seconds)
        return dist.TCPStore(place.host, place.port, is_master=serves, wait_for_workers=False, timeout=timeout)

    try:
        if not serves:
            wait_for_server(place.host, place.port, timeout_seconds, patience, whom=place.keeper)
        store = patience.call(client, longest_seconds=timeout_seconds, whom=place.keeper)
    except (RuntimeError, TimeoutError) as error:
        raise place.out_of_reach(error) from error
    if serves:
        SERVED_STORES.append(store)  # keep it alive until the process ends, not just as long as its first user
    return store


@dataclass
class Comm:
    """One rank's communicator. With a world size of 1, every call returns at once."""

    rank: int = 0
    world: int = 1
    watchdog: Watchdog | NoWatchdog = field(default_factory=NoWatchdog)
    traffic: Traffic = field(default_factory=Traffic)
    _groups: dict[RankGroup, Any] = field(default_factory=dict)
    _failure_report: FailureReport | None = None
    _stop_requested: Callable[[], bool] | None = None
    """Set only before the first round."""
    _at_first_round: Callable[[], None] = lambda: None

    def first_round(self) -> None:
        """Mark the start of the first round. From now on all ranks agree on a stop, and waits are no longer printed."""
        self._stop_requested = None
        self._at_first_round()

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
        if self._stop_requested is not None and self._stop_requested():
            raise StoppedEarly(f"rank {self.rank} of {self.world} was stopped before the first round")

    # -- every round ------------------------------------------------------------------------------------------------

    def all_reduce_max(self, values: Sequence[int], *, about: str = "the round's edge") -> list[int]:
        """Return the maximum of each value over all ranks, in one small collective."""
        if self.world == 1:
            return list(values)
        vector = torch.tensor(values, dtype=torch.int32)
        with self.waiting_for(about):
            dist.all_reduce(vector, op=dist.ReduceOp.MAX)
        self.traffic.agreed += vector.nbytes
        return vector.tolist()

    def reduce(self, group: RankGroup, buffer: Tensor) -> None:
        """Sum `buffer` over the group's ranks, in place; the result has the same bits on each."""
        if group.size == 1:
            return
        with self.waiting_for(f"the gradients shared by ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_reduce(buffer, group=self._group(group))
            if buffer.is_cuda:  # NCCL is asynchronous; wait here, so that a hang is found now and not at the next use
                torch.cuda.synchronize(buffer.device)
        self.traffic.reduced += buffer.nbytes

    def all_gather_in(self, group: RankGroup, item: _T) -> list[_T]:
        """Return the item of every rank of a group, in rank order."""
        if group.size == 1:
            return [item]
        items: list[Any] = [None] * group.size
        with self.waiting_for(f"an all-gather of ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_gather_object(items, item, group=self._group(group))
        self.traffic.told += len(pickle.dumps(item))
        return items

    # -- now and then -------------------------------------------------------------------------------------------------

    def collect(self, item: _T) -> list[_T] | None:
        """Return every rank's item on rank 0, and None on the others."""
        if self.world == 1:
            return [item]
        items: list[Any] | None = [None] * self.world if self.is_first else None
        with self.waiting_for("reports"):
            dist.gather_object(item, items, dst=0)
        self.traffic.told += len(pickle.dumps(item))
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
            self._groups[group] = dist.new_group(list(group.ranks), timeout=_FOR_EVER, use_local_synchronization=True)
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
            if self._failure_report is not None and (peer_error := self._failure_report.read()) is not None:
                raise peer_error from error
            if not _is_communication_error(error):
                raise
            if self._stop_requested is not None and self._stop_requested():
                raise StoppedEarly(f"stopped while waiting for {about}") from error
            reason = str(error).strip().split("\n")[0]
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


def _allow_many_connections() -> None:
    """Raise the limit on open files to its maximum. A gloo group connects all of its ranks, and a rank is in one group
    per group size: with 512 ranks that takes over a thousand sockets, which is the usual soft limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def joined(
    *,
    on_gpu: bool,
    timeout_seconds: float,
    on_hang: Callable[[str], None],
    need_group: bool = False,
    stop_requested: Callable[[], bool] = lambda: False,
    at_first_round: Callable[[], None] = lambda: None,
) -> Iterator[Comm]:
    """Join the other processes that the launcher started, or run alone.

    Args:
        on_gpu: gradients are on GPUs (NCCL) rather than in host memory (gloo).
        timeout_seconds: time after which a rank without a sign of life counts as hung.
        on_hang: called with the report, on the rank that finds a hang, before it exits.
        need_group: create a process group even for a single process; DeepSpeed needs one.
        stop_requested: ends the wait for the other processes.
        at_first_round: called by `Comm.first_round`.

    Raises:
        CommError, ConfigError: the other processes do not arrive, or the launcher's variables are inconsistent.
        StoppedEarly: a stop was requested before they arrived.
    """
    place = Place.of(os.environ)
    if place.world == 1 and not need_group:
        comm = Comm()
        with _start_notices(comm, "this process", at_first_round):
            yield comm
        return
    _allow_many_connections()
    client = store_at(place, timeout_seconds, stop_requested)
    watched = store_at(place, timeout_seconds, stop_requested) if place.world > 1 else None
    start = _rendezvous(place, client, max(LONGEST_START_SECONDS, 2 * timeout_seconds), stop_requested)
    store = dist.PrefixStore(f"{start}/group", client)
    watchdog: Watchdog | NoWatchdog = NoWatchdog()
    if watched is not None:
        watchdog = Watchdog(
            dist.PrefixStore(f"{start}/watch", watched),
            rank=place.rank,
            world=place.world,
            timeout_seconds=timeout_seconds,
            on_hang=on_hang,
        )
    with watchdog:
        failure_report = FailureReport(store, place.rank)
        comm = Comm(place.rank, place.world, watchdog, _failure_report=failure_report)
        try:
            comm._stop_requested = stop_requested
            with _start_notices(comm, f"{place.name} ({place.host}:{place.port})", at_first_round), _long_timeouts():
                _make_group(comm, store, on_gpu)
                yield comm
        except (Exception, StoppedEarly) as error:
            failure_report.leave(error)
            raise
        comm.all_reduce_max([0], about="all ranks to end")  # keep the store until every rank is done with it
    _leave_the_groups(comm)


def _rendezvous(place: Place, client: dist.Store, longest_seconds: float, stop_requested: Callable[[], bool]) -> str:
    try:
        return rendezvous(
            client,
            rank=place.rank,
            world=place.world,
            longest_seconds=longest_seconds,
            patience=place.patience(stop_requested),
        )
    except RuntimeError as error:
        raise place.out_of_reach(error) from error
    except (ConfigError, StoppedEarly):
        if place.serves:
            time.sleep(_PARTING_SECONDS)
        raise


def _make_group(comm: Comm, store: dist.Store, on_gpu: bool) -> None:
    """Create the process group, without `device_id`. With it, torch would connect NCCL here, where a broken fabric
    hangs the main thread (`first_sum.py` tests the connection instead), and would create later groups by splitting this
    one, which requires all ranks to take part.
    """
    with comm.waiting_for("all ranks to start"):
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=store,
            rank=comm.rank,
            world_size=comm.world,
            timeout=_FOR_EVER,
        )


@contextlib.contextmanager
def _long_timeouts() -> Iterator[None]:
    """Use the run's time-out for groups that libraries create, too (DeepSpeed creates one of all ranks).

    Without an explicit time-out, torch gives a new group 10 minutes with NCCL and 30 with gloo, whatever its parent
    has. That would kill a rank that waits longer, for example for an evaluation on another rank.
    """
    new_group = dist.new_group

    def with_timeout(ranks: Any = None, timeout: timedelta | None = None, *others: Any, **options: Any) -> Any:
        return new_group(ranks, timeout or _FOR_EVER, *others, **options)

    dist.new_group = with_timeout
    try:
        yield
    finally:
        dist.new_group = new_group


@contextlib.contextmanager
def _start_notices(comm: Comm, who: str, at_first_round: Callable[[], None]) -> Iterator[None]:
    """Print what the start is waiting for until the first round begins."""
    whom = comm.watchdog.behind if isinstance(comm.watchdog, Watchdog) else None
    with StartNotices(who, comm.watchdog, whom) as notices:

        def begun() -> None:
            notices.end()
            at_first_round()

        comm._at_first_round = begun
        yield


def _leave_the_groups(comm: Comm) -> None:
    """End the groups' threads now: if they outlive the interpreter, they may abort an otherwise successful process.

    torch ends them when the last reference is gone. If torch.distributed.nn.functional is first imported while a group
    exists, the group becomes a default argument of its functions. So this module imports it before any group exists.
    """
    comm.forget_groups()
    dist.destroy_process_group()
