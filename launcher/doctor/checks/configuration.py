"""Check the whole configuration, and report all errors at once. The other checks use defaults for invalid values."""

import hashlib
import json
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed_with, ok
from mms_dist.config import Config
from mms_dist.config.load import validate_all
from mms_dist.distributed.deepspeed_settings import SHARDING_STAGE, read_settings, refuse_settings
from mms_dist.training.same_run import PER_MACHINE_SETTINGS
from shards.storage import is_url


def check(context: Context) -> Findings:
    """Check the configuration, and store it in the context."""
    context.config, problems = validate_all(context.path, context.settings)
    context.identity["configuration"] = hashlib.sha256(_shared(context.config).encode()).hexdigest()[:16]
    for problem in problems:
        yield failed_with(problem)
    if (deepspeed := context.config.comm.deepspeed) is not None:
        settings = read_settings(deepspeed)
        refuse_settings(settings, deepspeed)
        context.base_is_sharded = settings["zero_optimization"]["stage"] == SHARDING_STAGE
    if not problems:
        with_settings = f" with {' '.join(context.settings)}" if context.settings else ""
        yield ok(f"{context.path}{with_settings}: every key and value is valid; {_places(context.config)}")


def _shared(config: Config) -> str:
    """Return as JSON the settings that must be the same on all machines. Folders on local disks may differ."""
    settings = config.flat()
    return json.dumps(
        {name: value for name, value in settings.items() if name not in PER_MACHINE_SETTINGS}, sort_keys=True
    )


def _places(config: Config) -> str:
    """Return the folders that the configuration names, as absolute paths."""
    shards = config.data.shards if is_url(config.data.shards) else Path(config.data.shards).absolute()
    return f"run.directory is {Path(config.run.directory).absolute()}, data.shards {shards}"
