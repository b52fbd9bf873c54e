"""Everything the ranks of a run say to each other; the only importer of torch.distributed.

What is said every round is one small vector (`agree`). Gradients are summed in the blocks that share a language
(`reduce`), a language whose owners change is handed on (`send`, `receive`), and what people want to see is collected on
rank 0 now and then (`collect`). All of it but the gradients of GPUs goes over gloo between hosts' memories.

All ranks of a call's block must make the same calls in the same order. No call is ever made on an error path.
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
"""In which the others read why rank 0 ends, before its store ends with it."""
_FOR_EVER = timedelta(days=7)
"""Of a collective: it is the watchdog that finds ranks of which nothing moves any more."""


@dataclass
class Traffic:
    """Bytes this rank has given into its calls so far."""

    agreed: int = 0
    """The vector at every round's edge."""
    reduced: int = 0
    """Gradients of shared languages."""
    moved: int = 0
    """Languages handed to other owners."""
    told: int = 0
    """Transcripts, reports and everything said at the start."""


_SERVING: list[dist.Store] = []


def store_at(place: Place, timeout_seconds: float, stop_requested: Callable[[], bool] = lambda: False) -> dist.Store:
    """A client of the run's key-value store, which rank 0 keeps where the launcher does not.

    Raises:
        CommError: its port is taken, or it cannot be reached within the time.
        ConfigError: the first machine's name is not known.
        StoppedEarly: a stop was requested while it was waited for.
    """
    serves = place.serves and not _SERVING
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
        _SERVING.append(store)  # it ends with the process and not with its first user
    return store


@dataclass
class Comm:
    """One rank's end of the line. With a world of one every call returns at once."""

    rank: int = 0
    world: int = 1
    watchdog: Watchdog | NoWatchdog = field(default_factory=NoWatchdog)
    traffic: Traffic = field(default_factory=Traffic)
    _groups: dict[RankGroup, Any] = field(default_factory=dict)
    _failure_report: FailureReport | None = None
    _stop_requested: Callable[[], bool] | None = None
    """Before the first round."""
    _at_first_round: Callable[[], None] = lambda: None

    def first_round(self) -> None:
        """From here on a stop is agreed on by all, and waits are watched and not told."""
        self._stop_requested = None
        self._at_first_round()

    @property
    def is_first(self) -> bool:
        """Rank 0 keeps the run directory's common files and talks to people."""
        return self.rank == 0

    # -- at the start ---------------------------------------------------------------------------------------------

    def run_on_all_ranks(self, work: Callable[[], _T]) -> _T:
        """Do `work` on every rank; if it fails on any, fail on all.

        Raises:
            MmsDistError, ShardsError: what failed here, on the first rank on which something did.
            PeerError: on the others.
        """
        result, problem = None, None
        try:
            result = work()
        except (MmsDistError, ShardsError) as error:
            problem = error
        said = self.all_gather(
            None if problem is None else (str(problem), int(getattr(problem, "exit_code", ExitCode.USER_ERROR)))
        )
        first = next(((rank, *words) for rank, words in enumerate(said) if words is not None), None)
        if first is not None:
            rank, reason, exit_code = first
            if problem is not None and self.rank == rank:
                raise problem
            raise PeerError(f"rank {rank} could not start: {reason}", exit_code)
        return result  # type: ignore[return-value]

    def all_gather(self, item: _T) -> list[_T]:
        """Every rank's item, by rank."""
        return self.all_gather_in(RankGroup(0, self.world), item)

    def sum_everywhere(self, buffer: Tensor) -> None:
        """Sum `buffer` over all ranks, in place; for a trial, in a thread whose end is waited for, and not watched."""
        if dist.is_initialized():
            dist.all_reduce(buffer)

    def check_stop(self) -> None:
        """
        Raises:
            StoppedEarly: a stop was requested, and the first round has not begun.
        """
        if self._stop_requested is not None and self._stop_requested():
            raise StoppedEarly(f"rank {self.rank} of {self.world} was stopped before the first round")

    # -- every round ------------------------------------------------------------------------------------------------

    def all_reduce_max(self, values: Sequence[int], *, about: str = "the round's edge") -> list[int]:
        """The largest of each value over all ranks: one small collective."""
        if self.world == 1:
            return list(values)
        vector = torch.tensor(values, dtype=torch.int32)
        with self.waiting_for(about):
            dist.all_reduce(vector, op=dist.ReduceOp.MAX)
        self.traffic.agreed += vector.nbytes
        return vector.tolist()

    def reduce(self, group: RankGroup, buffer: Tensor) -> None:
        """Sum `buffer` over the block's ranks, in place: the same bits on each."""
        if group.size == 1:
            return
        with self.waiting_for(f"the gradients shared by ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_reduce(buffer, group=self._group(group))
            if buffer.is_cuda:  # NCCL only begins it: a rank that hangs must be found here, and not at the next use
                torch.cuda.synchronize(buffer.device)
        self.traffic.reduced += buffer.nbytes

    def all_gather_in(self, group: RankGroup, item: _T) -> list[_T]:
        """The item of every rank of a block, by rank."""
        if group.size == 1:
            return [item]
        items: list[Any] = [None] * group.size
        with self.waiting_for(f"words between ranks {group.first} to {group.first + group.size - 1}"):
            dist.all_gather_object(items, item, group=self._group(group))
        self.traffic.told += len(pickle.dumps(item))
        return items

    # -- now and then -------------------------------------------------------------------------------------------------

    def collect(self, item: _T) -> list[_T] | None:
        """Every rank's item on rank 0, None elsewhere."""
        if self.world == 1:
            return [item]
        items: list[Any] | None = [None] * self.world if self.is_first else None
        with self.waiting_for("reports"):
            dist.gather_object(item, items, dst=0)
        self.traffic.told += len(pickle.dumps(item))
        return items

    def send(self, rank: int, item: object) -> None:
        """Hand something over; waits until it is received. Its tensors must be on the CPU."""
        payload = torch.frombuffer(bytearray(pickle.dumps(item, protocol=5)), dtype=torch.uint8)
        with self.waiting_for(f"handing a language to rank {rank}"):
            dist.send(torch.tensor([payload.numel()]), dst=rank)
            dist.send(payload, dst=rank)
        self.traffic.moved += payload.nbytes

    def receive(self, rank: int) -> Any:
        """What `rank` sends here."""
        size = torch.zeros(1, dtype=torch.int64)
        with self.waiting_for(f"being handed a language by rank {rank}"):
            dist.recv(size, src=rank)
            payload = torch.empty(int(size), dtype=torch.uint8)
            dist.recv(payload, src=rank)
        return pickle.loads(payload.numpy().tobytes())

    def _group(self, group: RankGroup) -> Any:
        """The process group of a block, made when it is first used, by all of its ranks at the same point."""
        if group.size == self.world:
            return dist.group.WORLD
        if group not in self._groups:
            self._groups[group] = dist.new_group(list(group.ranks), timeout=_FOR_EVER, use_local_synchronization=True)
        return self._groups[group]

    def forget_groups(self) -> None:
        """Before the process's groups are ended; no call to others after it."""
        self._groups.clear()

    @contextlib.contextmanager
    def waiting_for(self, about: str) -> Iterator[None]:
        """Around everything that returns only when other ranks have come as far.

        Raises:
            PeerError: another rank has failed, and said why.
            CommError: another rank is gone.
            StoppedEarly: another rank is gone before the first round, and this one was asked to stop as well.
        """
        try:
            with self.watchdog.waiting(about):
                yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if self._failure_report is not None and (told := self._failure_report.read()) is not None:
                raise told from error
            if not _is_of_the_line(error):
                raise
            if self._stop_requested is not None and self._stop_requested():
                raise StoppedEarly(f"stopped while waiting for {about}") from error
            reason = str(error).strip().split("\n")[0]
            raise CommError(
                f"rank {self.rank} of {self.world} lost a peer while waiting for {about} ({reason})",
                fix=(
                    "look for the rank that failed first, then run the same command again: it goes on from the last "
                    "checkpoints"
                ),
            ) from error


def _is_of_the_line(error: RuntimeError) -> bool:
    """Whether a collective failed for what is between ranks, and not for a mistake in what was computed around it."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL", "Connection"))


def _allow_many_connections() -> None:
    """A gloo group connects all of its ranks, and a rank is in a group for every size of block: over a thousand sockets
    with 512 ranks, which is as many as a process may usually open before it asks."""
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
    """Meet the other processes that the launcher started, or be alone.

    Args:
        on_gpu: gradients are on GPUs (NCCL), and not in the hosts' memory (gloo).
        timeout_seconds: after which a rank that shows no sign of life is taken for hung.
        on_hang: called with what is known, on the rank that finds it, before that leaves.
        need_group: be a process group even if alone; DeepSpeed wants one.
        stop_requested: ends the wait for the others.
        at_first_round: called by `Comm.first_round`.

    Raises:
        CommError, ConfigError: the others do not come, or this process was told nonsense of them.
        StoppedEarly: a stop was requested before they had come.
    """
    place = Place.of(os.environ)
    if place.world == 1 and not need_group:
        comm = Comm()
        with _telling(comm, "this process", at_first_round):
            yield comm
        return
    _allow_many_connections()
    client = store_at(place, timeout_seconds, stop_requested)
    watched = store_at(place, timeout_seconds, stop_requested) if place.world > 1 else None
    start = _meet(place, client, max(LONGEST_START_SECONDS, 2 * timeout_seconds), stop_requested)
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
            with _telling(comm, f"{place.name} ({place.host}:{place.port})", at_first_round), _groups_last():
                _make_group(comm, store, on_gpu)
                yield comm
        except (Exception, StoppedEarly) as error:
            failure_report.leave(error)
            raise
        comm.all_reduce_max([0], about="all ranks to end")  # nobody takes the store away from one that still works
    _leave_the_groups(comm)


def _meet(place: Place, client: dist.Store, longest_seconds: float, stop_requested: Callable[[], bool]) -> str:
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
    """Without `device_id`: given that, torch connects NCCL in here, where a broken fabric hangs the main thread (it is
    tried in `first_sum.py`), and makes later groups by splitting this one, which all ranks would have to take part in.
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
def _groups_last() -> Iterator[None]:
    """Give the run's time-out to groups that libraries make as well (DeepSpeed: one of all ranks).

    torch gives one that says none 10 minutes with NCCL and 30 with gloo, whatever its parent has; a rank that waits for
    longer, as for an evaluation elsewhere, would be ended by it.
    """
    new_group = dist.new_group

    def lasting(ranks: Any = None, timeout: timedelta | None = None, *others: Any, **options: Any) -> Any:
        return new_group(ranks, timeout or _FOR_EVER, *others, **options)

    dist.new_group = lasting
    try:
        yield
    finally:
        dist.new_group = new_group


@contextlib.contextmanager
def _telling(comm: Comm, who: str, at_first_round: Callable[[], None]) -> Iterator[None]:
    """Say what the start waits for, as long as it lasts."""
    whom = comm.watchdog.behind if isinstance(comm.watchdog, Watchdog) else None
    with StartNotices(who, comm.watchdog, whom) as notices:

        def begun() -> None:
            notices.end()
            at_first_round()

        comm._at_first_round = begun
        yield


def _leave_the_groups(comm: Comm) -> None:
    """End the groups' threads here: those that live into the interpreter's own end may abort it, after all went well.

    torch ends them with the last reference. Its torch.distributed.nn.functional has the group among the defaults of its
    functions if it is first imported, by whatever library, while there is one; so this module imports it before.
    """
    comm.forget_groups()
    dist.destroy_process_group()
