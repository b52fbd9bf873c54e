"""Check that all ranks are starting the same run.

On several machines the command is typed several times. Ranks with different settings would train without an error, but
each by its own plan: their shares would come from different batches, and the results would be silently wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.distributed.comm import Comm
from mms_dist.errors import ConfigError
from mms_dist.hardware.resolve import Resolved

PER_MACHINE_SETTINGS = (
    "run.device",
    "run.threads",
    "data.shards",  # its contents are compared below; its path may differ between machines
    "data.workers",
    "data.prefetch_rounds",
    "data.cache_directory",
    "data.cache_gib",
    "model.base",  # its weights are compared below
    "model.feature_cache_gib",
    "model.feature_spill_directory",
    "comm.deepspeed",
)
"""Settings that may differ between ranks."""


def check_same_run(
    config: Config, resolved: Resolved, summaries: Sequence[LanguageSummary], base_identity: str, comm: Comm
) -> None:
    """Compare everything that affects the results of the run with rank 0.

    Raises:
        ConfigError: this rank differs from rank 0; lists the settings that differ.
        PeerError: another rank differs.
    """
    mine = {name: value for name, value in config.flat().items() if name not in PER_MACHINE_SETTINGS}
    mine |= {f"{name} (resolved)": value for name, value in resolved.shared_settings().items()}
    mine |= {f"the shards of {entry.language}": repr(entry) for entry in summaries}
    mine |= {"the weights of model.base": base_identity}
    first = comm.all_gather(mine)[0]
    comm.run_on_all_ranks(lambda: _require_equal(mine, first, comm.rank))


def _require_equal(mine: Mapping[str, Any], first: Mapping[str, Any], rank: int) -> None:
    different = [name for name in sorted(mine.keys() | first.keys()) if mine.get(name) != first.get(name)]
    if different:
        lines = [f"{name}: {mine.get(name)} here, {first.get(name)} on rank 0" for name in different[:5]]
        more = f"; and {len(different) - 5} more" if len(different) > 5 else ""
        raise ConfigError(
            f"rank {rank} was started for a different run than rank 0: {'; '.join(lines)}{more}",
            fix="start all machines with the same command on the same files",
        )
