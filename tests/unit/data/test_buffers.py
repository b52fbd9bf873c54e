"""Memory is used again only when nothing can see it any more."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from mms_dist.data.buffers import AudioBuffers


def test_memory_of_a_dead_array_is_used_again() -> None:
    buffers = AudioBuffers()
    address = buffers.lease(20_000).ctypes.data
    assert buffers.free_bytes == 2 * 2 * 16_000
    assert buffers.lease(30_000).ctypes.data == address
    assert buffers.lease(10_000).ctypes.data != address


VIEWS: dict[str, Callable[[np.ndarray], object]] = {
    "slice": lambda audio: audio[10:20],
    "slice of a slice": lambda audio: audio[10:][::2],
    "reshaped": lambda audio: audio.reshape(2, -1),
    "memoryview": memoryview,
    "tensor": torch.from_numpy,
    "tensor slice": lambda audio: torch.from_numpy(audio)[5:9],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_memory_that_any_view_still_shows_is_not_used_again(view: Callable[[np.ndarray], object]) -> None:
    buffers = AudioBuffers()
    shown = view(buffers.lease(16_000))
    assert buffers.free_bytes == 0
    del shown
    assert buffers.free_bytes == 32_000


def test_unused_memory_is_bounded() -> None:
    buffers = AudioBuffers(keep_bytes=100_000)
    arrays = [buffers.lease(16_000) for _ in range(10)]
    del arrays
    assert buffers.free_bytes == 96_000


def test_arrays_have_the_length_asked_for() -> None:
    buffers = AudioBuffers()
    for samples in (0, 1, 16_000, 16_001):
        audio = buffers.lease(samples)
        assert audio.shape == (samples,)
        assert audio.dtype == np.int16
        assert audio.flags.writeable


def test_live_arrays_never_share_memory_with_any_number_of_threads() -> None:
    buffers = AudioBuffers(keep_bytes=1 << 20)
    wrong: list[int] = []

    def work(mark: int) -> None:
        for round_number in range(200):
            held = [buffers.lease(2_000) for _ in range(round_number % 5 + 1)]
            for audio in held:
                audio[:] = mark
            wrong.extend(mark for audio in held if (audio != mark).any())

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert buffers.free_bytes <= 1 << 20
    assert not buffers._leases
