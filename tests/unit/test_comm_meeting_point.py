"""A meeting point that cannot be had is told with its mend, and not as a bug of ours."""

import socket

import pytest

from mms_dist.distributed.comm import store_at
from mms_dist.distributed.place import Place
from mms_dist.errors import CommError


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommError, match=rf"127\.0\.0\.1:{port}.*main_process_port"):
            store_at(Place(rank=0, world=2, port=port), 2.0)


def test_a_first_rank_that_is_not_there_is_missed_within_the_time() -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    with pytest.raises(CommError, match=r"rank 1 cannot .* see that rank 0 was started"):
        store_at(Place(rank=1, world=2, port=port), 2.0)
