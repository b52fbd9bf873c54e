"""One run: from a configuration to finished adapters."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mms_dist.checkpoint.lock import RunLock
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.config.load import load_config, write_config
from mms_dist.errors import ConfigError
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.allocator import keep_freed_memory
from mms_dist.training.assembly import Parts, assemble, check_first_adapters, load_base
from mms_dist.training.census import LanguageEntry, take_census
from mms_dist.training.devices import set_threads
from mms_dist.training.loop import PREEMPTED
from mms_dist.training.restore import Restored, restore


def train(config: Config, *, stop_requested: Callable[[], bool] = lambda: False, live: bool | None = None) -> str:
    """Train every language of the configuration, or go on where the run directory's checkpoints stand.

    Args:
        stop_requested: asked at every round's edge; True ends the run with a checkpoint of every language.
        live: draw the display in place; None: if standard output is a terminal.

    Returns:
        `finished` or `preempted`.

    Raises:
        MmsDistError, ShardsError: what a user can mend.
    """
    directory = Path(config.run.directory)
    set_threads(config.run.threads)
    keep_freed_memory()
    index, census = take_census(config)
    base = load_base(config)
    check_first_adapters(config, base, index)
    with RunLock(directory), CheckpointStore(directory / "adapters", keep=config.checkpoint.keep) as store:
        store.recover()
        restored = restore(config, store, index, census, base)
        config = _with_whole_paths(config)
        changes = changed_settings(directory / "config.yaml", config) if restored.resumed else []
        write_config(config, directory / "config.yaml")
        with Monitor(directory, languages=[entry.plan() for entry in census], live=live) as monitor:
            try:
                with assemble(config, index, census, base, restored, store, monitor, stop_requested) as parts:
                    _announce(monitor, restored, [*_plan_lines(config, parts, census), *changes])
                    outcome = parts.loop.run()
                store.drain()
            except BaseException as error:
                monitor.event("run_failed", reason=str(error) or type(error).__name__)
                raise
            kind = "preempted" if outcome == PREEMPTED else "run_finished"
            monitor.event(kind, round=parts.loop.round)
            monitor.close(monitor.summary())
    return outcome


def _announce(monitor: Monitor, restored: Restored, lines: list[str]) -> None:
    monitor.start(lines)
    monitor.event("run_resumed" if restored.resumed else "run_started", round=restored.round)
    for kind, fields in restored.notices:
        monitor.event(kind, **fields)


def changed_settings(path: Path, config: Config) -> list[str]:
    """A line for every setting that is not what this run was last started with."""
    try:
        before = _flat(load_config(path).to_dict())
    except ConfigError:
        return [f"settings  those of the last start are not known: {path} cannot be read"]
    after = _flat(config.to_dict())
    return [
        f"changed   {name}: {before.get(name)} → {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _with_whole_paths(config: Config) -> Config:
    """The configuration as `eval` and `export` read it, from whatever folder they are called."""
    shards, base = config.data.shards, config.model.base
    if "://" not in shards and not shards.startswith("pipe:"):
        shards = str(Path(shards).absolute())
    if Path(base).is_dir():
        base = str(Path(base).absolute())
    return replace(config, data=replace(config.data, shards=shards), model=replace(config.model, base=base))


def _plan_lines(config: Config, parts: Parts, census: list[LanguageEntry]) -> list[str]:
    """What a user wants to see before the first round."""
    hours = sum(entry.seconds for entry in census) / 3600
    row = parts.bank.rows.shape[1]
    lines = [
        f"base      {config.model.base}: {parts.base.parameter_count() / 1e6:,.1f} M parameters, frozen, "
        f"{config.model.dtype} on {parts.base.device}",
        f"languages {len(census)}: {sum(entry.utterances for entry in census):,} utterances, {hours:,.2f} h; "
        f"{parts.bank.slots} at once",
        f"adapters  dim {config.adapter.dim}, up to {row:,} trained parameters a language; "
        f"rows, gradients and moments take {4 * parts.bank.rows.nbytes / 2**20:,.0f} MiB",
        f"rounds    {config.optim.batch_seconds:g} s of audio and one optimizer step a language, "
        f"forward passes of up to {parts.gradients.forward_seconds:g} s",
    ]
    left_out = sum(entry.left_out for entry in census)
    if left_out:
        lines.append(f"left out  {left_out:,} training utterances that are too long or have no transcript that fits")
    if parts.loop.round:
        lines.append(f"resumed   after round {parts.loop.round:,}")
    return lines
