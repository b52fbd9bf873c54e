"""Check that the loader workers can keep the device busy."""

import os

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, not_checked, ok, warning
from mms_dist.hardware.hardware import Hardware
from mms_dist.machine import loader_workers
from mms_dist.monitor.throughput import format_loader_advice, format_read_speed, format_speed_comparison
from mms_dist.planning.measured_speed import measured_device, measured_reading
from shards import storage

READ_SECONDS = 0.5
NEAR = 1.5
"""Least ratio of loader to device speed. Below it, other work on the machine makes the loader the bottleneck."""


def check(context: Context) -> Findings:
    """Read audio for a moment; with --load, also train for a moment to measure the device."""
    config = context.config
    if config is None or not context.languages:
        yield not_checked("needs the configuration and the shards")
        return
    if not context.machines.here:
        yield not_checked("reading speed has to be measured on the job's machines")
        return
    if storage.is_url(config.data.shards):
        yield not_checked("reading speed of remote shards is not measured: that would download whole shards")
        return
    if config.data.workers is None and context.hardware is None:
        yield not_checked("needs the device, which sets the number of loader workers")
        return
    workers = max(1, _workers(config.data.workers, context.hardware))
    loader = measured_reading(config.data.shards, context.languages, workers=workers, seconds=READ_SECONDS)
    if not loader:
        yield not_checked("no utterance of the language with the most audio could be read")
        return
    if not context.load:
        yield ok(
            f"{format_read_speed(loader, workers)}; --load compares this with the device, and so does training after "
            "its first rounds"
        )
        return
    if os.environ.get("WORLD_SIZE", "1") != "1":
        yield ok(f"{format_read_speed(loader, workers)}, while the other processes of this machine also read")
        return
    device = measured_device(config, context.languages)
    found = format_speed_comparison(loader, device, workers)
    if loader < NEAR * device:
        yield warning(found, format_loader_advice(workers))
    else:
        yield ok(found)


def _workers(configured: int | None, hardware: Hardware | None) -> int:
    if configured is not None:
        return configured
    assert hardware is not None
    return loader_workers(hardware.cores, on_gpu=hardware.on_gpu)
