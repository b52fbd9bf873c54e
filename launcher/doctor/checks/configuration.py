"""Is the configuration valid? All that is not, at once; the other checks go on with defaults in its place."""

import hashlib
import json
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.config import Config
from mms_dist.config.survey import survey_config
from mms_dist.distributed.deepspeed_settings import SHARDING_STAGE, read_settings, refuse_settings
from mms_dist.training.same_run import OF_A_MACHINE, flat_settings
from shards.storage import is_url


def look(context: Context, notes: Notes) -> None:
    """Give the context its configuration."""
    context.config, problems = survey_config(context.path, context.settings)
    context.identity["configuration"] = hashlib.sha256(_shared(context.config).encode()).hexdigest()[:16]
    for problem in problems:
        notes.error(problem)
    if (deepspeed := context.config.comm.deepspeed) is not None:
        settings = read_settings(deepspeed)
        refuse_settings(settings, deepspeed)
        context.base_is_sharded = settings["zero_optimization"]["stage"] == SHARDING_STAGE
    if not problems:
        with_settings = f" with {' '.join(context.settings)}" if context.settings else ""
        notes.ok(f"{context.path}{with_settings}: every key and value is valid; {_places(context.config)}")


def _shared(config: Config) -> str:
    """The settings in which machines must not differ: the places of their disks may, as variables in them say."""
    settings = flat_settings(config.to_dict())
    return json.dumps({name: value for name, value in settings.items() if name not in OF_A_MACHINE}, sort_keys=True)


def _places(config: Config) -> str:
    """The folders that the configuration names, as they were understood."""
    shards = config.data.shards if is_url(config.data.shards) else Path(config.data.shards).absolute()
    return f"run.directory is {Path(config.run.directory).absolute()}, data.shards {shards}"
