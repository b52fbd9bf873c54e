"""Find the other processes that the launcher started, and create and destroy their process group."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch.distributed as dist
import torch.distributed.nn.functional  # noqa: F401  # see _leave_the_groups

from mms_dist.distributed.comm import COLLECTIVE_TIMEOUT, Comm
from mms_dist.distributed.failure_report import FailureReport
from mms_dist.distributed.heartbeats import HangReport
from mms_dist.distributed.key_value_store import wait_for_server
from mms_dist.distributed.launch_environment import LaunchEnvironment
from mms_dist.distributed.rendezvous import LONGEST_START_SECONDS, rendezvous
from mms_dist.distributed.startup_waits import StartNotices
from mms_dist.distributed.watchdog import NoWatchdog, Watchdog
from mms_dist.errors import ConfigError, StoppedEarly

_GOODBYE_SECONDS = 0.3
"""How long rank 0 keeps its store alive after a failed start, so that the others can read why."""

SERVED_STORES: list[dist.Store] = []
"""The store that this process serves, kept alive until it ends, not just as long as its first user."""


def store_at(
    launch: LaunchEnvironment, timeout_seconds: float, stop_requested: Callable[[], bool] = lambda: False
) -> dist.Store:
    """Connect to the run's key-value store. Rank 0 serves it if the launcher does not.

    Raises:
        CommError: the port is taken, or the store cannot be reached within the time-out.
        ConfigError: the first machine's name cannot be resolved.
        StoppedEarly: a stop was requested while waiting for the store.
    """
    serves = launch.serves_store and not SERVED_STORES
    wait = launch.wait_for_ranks(stop_requested)

    def client() -> dist.Store:
        timeout = timedelta(seconds=timeout_seconds)
        return dist.TCPStore(launch.host, launch.port, is_master=serves, wait_for_workers=False, timeout=timeout)

    try:
        if not serves:
            wait_for_server(launch.host, launch.port, timeout_seconds, wait, describe_waited_for=launch.store_server)
        store = wait.call(client, longest_seconds=timeout_seconds, describe_waited_for=launch.store_server)
    except (RuntimeError, TimeoutError) as error:
        raise launch.store_unreachable(error) from error
    if serves:
        SERVED_STORES.append(store)
    return store


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
    on_hang: Callable[[HangReport], None],
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
    launch = LaunchEnvironment.of(os.environ)
    if launch.world == 1 and not need_group:
        comm = Comm()
        with _start_notices(comm, "this process", at_first_round):
            yield comm
        return
    _allow_many_connections()
    client = store_at(launch, timeout_seconds, stop_requested)
    watched = store_at(launch, timeout_seconds, stop_requested) if launch.world > 1 else None
    start = _rendezvous(launch, client, max(LONGEST_START_SECONDS, 2 * timeout_seconds), stop_requested)
    store = dist.PrefixStore(f"{start}/group", client)
    watchdog: Watchdog | NoWatchdog = NoWatchdog()
    if watched is not None:
        watchdog = Watchdog(
            dist.PrefixStore(f"{start}/watch", watched),
            rank=launch.rank,
            world=launch.world,
            timeout_seconds=timeout_seconds,
            on_hang=on_hang,
        )
    with watchdog:
        failure_report = FailureReport(store, launch.rank)
        comm = Comm(launch.rank, launch.world, watchdog, failure_report=failure_report, stop_requested=stop_requested)
        try:
            with (
                _start_notices(comm, f"{launch.rank_name} ({launch.host}:{launch.port})", at_first_round),
                _long_timeouts(),
            ):
                _make_group(comm, store, on_gpu)
                yield comm
        except (Exception, StoppedEarly) as error:
            failure_report.publish(error)
            raise
        comm.all_reduce_max([0], about="all ranks to end")  # keep the store until every rank is done with it
    _leave_the_groups(comm)


def _rendezvous(
    launch: LaunchEnvironment, client: dist.Store, longest_seconds: float, stop_requested: Callable[[], bool]
) -> str:
    try:
        return rendezvous(
            client,
            rank=launch.rank,
            world=launch.world,
            longest_seconds=longest_seconds,
            wait=launch.wait_for_ranks(stop_requested),
        )
    except RuntimeError as error:
        raise launch.store_unreachable(error) from error
    except (ConfigError, StoppedEarly):
        if launch.serves_store:
            time.sleep(_GOODBYE_SECONDS)
        raise


def _make_group(comm: Comm, store: dist.Store, on_gpu: bool) -> None:
    """Create the process group, without `device_id`.

    With it, torch would connect NCCL here, where a broken fabric hangs the main thread (`connection_test` tries the
    connection instead), and would create later groups by splitting this one, which requires all ranks to take part.
    """
    with comm.waiting_for("all ranks to start"):
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=store,
            rank=comm.rank,
            world_size=comm.world,
            timeout=COLLECTIVE_TIMEOUT,
        )


@contextlib.contextmanager
def _long_timeouts() -> Iterator[None]:
    """Use the run's time-out for groups that libraries create, too (DeepSpeed creates one of all ranks).

    Without an explicit time-out, torch gives a new group 10 minutes with NCCL and 30 with gloo, whatever its parent
    has. That would kill a rank that waits longer, for example for an evaluation on another rank.
    """
    new_group = dist.new_group

    def with_timeout(ranks: Any = None, timeout: timedelta | None = None, *others: Any, **options: Any) -> Any:
        return new_group(ranks, timeout or COLLECTIVE_TIMEOUT, *others, **options)

    dist.new_group = with_timeout
    try:
        yield
    finally:
        dist.new_group = new_group


@contextlib.contextmanager
def _start_notices(comm: Comm, who: str, at_first_round: Callable[[], None]) -> Iterator[None]:
    """Print what the start is waiting for until the first round begins."""
    describe_late_ranks = comm.watchdog.behind if isinstance(comm.watchdog, Watchdog) else None
    with StartNotices(who, comm.watchdog, describe_late_ranks) as notices:

        def begun() -> None:
            notices.end()
            at_first_round()

        comm.at_first_round = begun
        yield


def _leave_the_groups(comm: Comm) -> None:
    """End the groups' threads now: if they outlive the interpreter, they may abort an otherwise successful process.

    torch ends them when the last reference is gone. If torch.distributed.nn.functional is first imported while a group
    exists, the group becomes a default argument of its functions. So this module imports it before any group exists.
    """
    comm.forget_groups()
    dist.destroy_process_group()
