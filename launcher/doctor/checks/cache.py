"""Check that this machine has room for the cache of remote shards."""

import shutil
import tempfile
from pathlib import Path

from launcher.doctor.checks.run_directory import trial_folder
from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, format_bytes, not_checked, ok
from mms_dist.files import write_synced
from shards import storage
from shards.index import ShardIndex

FIX = "set data.cache_directory to a folder on a local disk with enough space, or lower data.cache_gib"


def check(context: Context) -> Findings:
    """Try to write to the cache folder, and compare the free space with what is needed."""
    config = context.config
    if config is None:
        yield not_checked("needs the configuration, which says where the shards are")
        return
    if not storage.is_url(config.data.shards):
        yield not_checked("not needed: the shards are on a file system")
        return
    place = Path(config.data.cache_directory or tempfile.gettempdir()).absolute()
    try:
        with trial_folder(place) as folder:
            write_synced(folder / "shard", b"shard")
            free = shutil.disk_usage(folder).free
    except OSError as error:
        yield failed(f"cannot write to {place}, the cache of remote shards: {error.strerror or error}", FIX)
        return
    codes = [entry.language for entry in context.languages]
    index = ShardIndex.load(config.data.shards, codes)
    shards = [
        shard.bytes
        for code in codes
        for split in index.language(code).splits
        for shard in index.language(code).shards(split)
    ]
    needed = min(sum(shards), config.data.cache_gib * 2**30)
    found = f"up to {format_bytes(needed)} for remote shards in {place}, {format_bytes(free)} free"
    if max(shards, default=0) > config.data.cache_gib * 2**30:
        yield failed(f"a shard of {format_bytes(max(shards))} is larger than data.cache_gib", "raise data.cache_gib")
    if needed > free:
        yield failed(found, FIX)
    else:
        yield ok(found)
