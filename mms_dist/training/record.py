"""The run directory's shared files, written by rank 0: lock, configuration, status, events and TensorBoard.

On other ranks a record does nothing. Their reports reach rank 0 through the report collector.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mms_dist.config import Config
from mms_dist.config.load import load_config, write_config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.distributed.comm import Comm
from mms_dist.errors import ConfigError, ExitCode, MmsDistError, StalledError, StoppedEarly
from mms_dist.hardware.hardware_record import write_kept_settings
from mms_dist.hardware.resolve import Resolved
from mms_dist.monitor.monitor import Monitor
from mms_dist.run_directory.lock import RunLock
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.status_file import Attempt, RunState, begin, is_automatic_restart
from mms_dist.software import software_versions
from mms_dist.training.ending import Ending
from mms_dist.training.restore import Restored
from shards.errors import ShardsError

OPEN = (None, "auto")
"""Values that let the hardware decide a setting."""
EVENTS: dict[str, str] = {
    RunState.FINISHED: "run_finished",
    RunState.INCOMPLETE: "run_incomplete",
    RunState.FAILED: "run_failed",
}


@dataclass
class Record:
    """Records one attempt of a run in the run directory."""

    directory: Path
    comm: Comm
    attempt: Attempt | None = None
    monitor: Monitor | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _changes: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def of(cls, directory: Path, comm: Comm, *, stalled_restarts: int) -> Iterator["Record"]:
        """Lock the run directory for the duration of the block, and record the error that ends the block, if any.

        Args:
            stalled_restarts: restarts in a row without a step after which the run gives up; 0: never.

        Raises:
            CheckpointError: another run holds the lock, or the directory cannot be written.
            StalledError: restarts make no progress.
            IncompleteError: this is a restart of a run that ended with languages in quarantine.
        """
        record = cls(directory, comm)
        with record._stack:
            # With a c10d rendezvous, only the machine that lost a process counts the restart.
            automatic = any(comm.all_gather(is_automatic_restart()))
            comm.run_on_all_ranks(lambda: record._take(automatic, stalled_restarts) if comm.is_first else None)
            try:
                yield record
            except BaseException as error:
                record._fail(error)
                raise

    def restored(
        self,
        restored: Restored,
        config: Config,
        resolved: Resolved,
        summaries: list[LanguageSummary],
        *,
        live: bool | None,
    ) -> None:
        """Record the restored round, steps and settings, and open the monitor. Call once the checkpoints are read."""
        self.comm.run_on_all_ranks(
            lambda: self._open(restored, config, resolved, summaries, live) if self.comm.is_first else None
        )

    def begin(self, restored: Restored, lines: list[str]) -> None:
        """Report the start of training, with the plan, the changed settings and the notices."""
        if self.monitor is None:
            return
        self.monitor.start([*lines, *self._changes])
        kind = "run_resumed" if restored.resumed else "run_started"
        self.monitor.event(kind, round=restored.round, versions=software_versions())
        for event in restored.notices:
            self.monitor.event(event.kind, **event.fields)

    def end(self, end: Ending | None, *, round: int, steps: int) -> None:
        """Record the end of training; `end` is None if training was stopped."""
        if self.monitor is None or self.attempt is None:
            return
        if end is None:
            self.monitor.event("preempted", round=round)
        else:
            self.monitor.event(EVENTS[end.state], round=round, **({"reason": end.reason} if end.reason else {}))
        self.monitor.close(self.monitor.summary())
        if end is None:
            self.attempt.finish(RunState.PREEMPTED, exit_code=ExitCode.PREEMPTED, round=round, steps=steps)
            return
        self.attempt.finish(
            end.state,
            exit_code=end.exit_code,
            reason=end.reason,
            round=round,
            steps=steps,
            quarantined=sorted(end.quarantined),
        )

    def _take(self, automatic: bool, stalled_restarts: int) -> None:
        self._stack.enter_context(RunLock(self.directory))
        self.attempt = begin(
            self.directory,
            processes=self.comm.world,
            automatic=automatic,
            allowed=stalled_restarts,
        )

    def _open(
        self,
        restored: Restored,
        config: Config,
        resolved: Resolved,
        summaries: list[LanguageSummary],
        live: bool | None,
    ) -> None:
        assert self.attempt is not None, "the directory is locked first"
        self.attempt.restored(round=restored.round, steps=restored.steps)
        config, path = _with_absolute_paths(config), RunPaths(self.directory).config
        self._changes = changed_settings(path, config, resolved.shared_settings()) if restored.resumed else []
        write_kept_settings(self.directory, resolved.kept)
        write_config(config, path)
        monitor = Monitor(self.directory, languages=summaries, live=live)
        self.monitor = self._stack.enter_context(monitor)

    def _fail(self, error: BaseException) -> None:
        if _exit_code(error) == ExitCode.PREEMPTED:  # stopped before the first round, on this rank or another
            with contextlib.suppress(MmsDistError):
                if self.attempt is not None:
                    self.attempt.finish(RunState.PREEMPTED, exit_code=ExitCode.PREEMPTED)
            return
        reason = str(error) or type(error).__name__
        if isinstance(error, BrokenPipeError):
            reason = "the reader of its output has gone; run the same command to continue from the last checkpoints"
        # A full disk or a closed output pipe must not hide the original error.
        with contextlib.suppress(MmsDistError, OSError):
            if self.monitor is not None:
                self.monitor.event("run_failed", reason=reason)
        with contextlib.suppress(MmsDistError):
            if self.attempt is not None and not isinstance(error, StalledError):  # a stall is already recorded
                self.attempt.finish(RunState.FAILED, exit_code=_exit_code(error), reason=reason)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, (MmsDistError, ShardsError, StoppedEarly)):
        return int(getattr(error, "exit_code", ExitCode.USER_ERROR))
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.FAILED


def changed_settings(path: Path, config: Config, resolved: Mapping[str, Any]) -> list[str]:
    """Return a line for every setting that differs from the last start of this run.

    A setting left to the hardware is unchanged if it resolves to its former value; `resolved` holds these values.
    """
    try:
        before = load_config(path).flat()
    except ConfigError:
        return [f"settings  cannot be compared with the last start: {path} cannot be read"]
    after = config.flat()
    return [
        f"changed   {name}: {before.get(name)} → {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        and not (after.get(name) in OPEN and before.get(name) == resolved.get(name))
    ]


def _with_absolute_paths(config: Config) -> Config:
    """Make paths absolute, because `eval` and `export` read the configuration from any folder."""
    shards, base, model = config.data.shards, config.model.base, config.evaluation.language_model
    if "://" not in shards and not shards.startswith("pipe:"):
        shards = str(Path(shards).absolute())
    if Path(base).is_dir():
        base = str(Path(base).absolute())
    return replace(
        config,
        data=replace(config.data, shards=shards),
        model=replace(config.model, base=base),
        evaluation=replace(config.evaluation, language_model=model and str(Path(model).absolute())),
    )
