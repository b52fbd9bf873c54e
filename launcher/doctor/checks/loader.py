"""Could the loader's threads keep the device busy?"""

import os

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.machine import loader_workers
from mms_dist.monitor.supply import advice, comparison, reading
from mms_dist.planning.measure import measured_device, measured_reading
from mms_dist.training.hardware import Hardware
from shards import storage

READ_SECONDS = 0.5
NEAR = 1.5
"""Times as fast as the device, below which other work on the machine makes the loader the slower."""


def look(context: Context, notes: Notes) -> None:
    """Reads for a moment; where the base may be loaded, trains on it for a moment as well."""
    config = context.config
    if config is None or not context.languages:
        notes.skip("how fast audio is read is not known without shards")
        return
    if not context.site.here:
        notes.skip("how fast audio is read is to be seen on the machines of the job")
        return
    if storage.is_url(config.data.shards):
        notes.skip("how fast audio is read from elsewhere is not measured: shards would be fetched whole for it")
        return
    if config.data.workers is None and context.hardware is None:
        notes.skip("how many threads would read is not known without the device")
        return
    workers = max(1, _workers(config.data.workers, context.hardware))
    loader = measured_reading(config, context.languages, workers=workers, seconds=READ_SECONDS)
    if not loader:
        notes.skip("no utterance of the language with most audio could be read")
        return
    if not context.load:
        notes.ok(
            f"{reading(loader, workers)}; whether the device is slower, --load measures, and training says after its "
            "first rounds"
        )
        return
    if os.environ.get("WORLD_SIZE", "1") != "1":
        notes.ok(f"{reading(loader, workers)}, while the other processes of this machine read as well")
        return
    device = measured_device(config, context.languages)
    told = comparison(loader, device, workers)
    if loader < NEAR * device:
        notes.warn(told, advice(workers))
    else:
        notes.ok(told)


def _workers(asked: int | None, hardware: Hardware | None) -> int:
    if asked is not None:
        return asked
    assert hardware is not None
    return loader_workers(hardware.cores, on_gpu=hardware.on_gpu)
