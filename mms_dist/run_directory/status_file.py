"""`RUN/status.json`: the status of the run's last attempt, from which launchers decide whether to restart it.

Launchers mask the exit codes of the processes they start, and a killed process has none, so this file records the
outcome. Rank 0 writes it while it holds the run's lock. If rank 0 hangs, the rank that detects it writes the file
(`mark_hung`). Its fields:

    state           running    the attempt is running; if its process no longer exists, it was killed: restart
                    finished   every language has finished: do not restart
                    incomplete the run has ended, but some languages are in quarantine or could not be scored: do not
                               restart, look at `reason`
                    preempted  stopped by a signal, with a checkpoint of every language: restart
                    failed     ended by an error; `restart` says whether to try the same command again. Exit code 65
                               means that all languages are in quarantine
                    stalled    restarts make no progress: do not restart, look at `reason`
    restart         whether to run the same command again; follows from `state` and `exit_code`
    exit_code       exit code of the attempt; null while it runs
    reason          why the state is `failed`, `incomplete` or `stalled`; null otherwise
    quarantined     languages in quarantine at the end of a run that is `incomplete`, or `failed` because of them
    round, steps    last known round, and optimizer steps of all languages together; null until the first attempt has
                    read the checkpoints
    steps_at_start  value of `steps` right after the checkpoints were read, by the last attempt that read them
    restored        whether this attempt has read the checkpoints
    attempt         1 for a manual start, plus one for every automatic restart after it
    stalled         number of consecutive restarts that found no new steps
    processes       number of ranks
    host, pid       host name and process id of rank 0
    job             SLURM job id; null outside SLURM
    started, ended  ISO 8601, UTC; `ended` is null while the attempt runs
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from mms_dist.errors import ExitCode, IncompleteError, StalledError, TrainingError
from mms_dist.files import read_file, replace_text
from mms_dist.run_directory.lock import RunLock
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import is_quarantined

NON_RETRYABLE_EXIT_CODES = (ExitCode.USER_ERROR, ExitCode.INCOMPLETE, ExitCode.INTERRUPTED)
"""Exit codes after which a restart cannot succeed without manual action."""


class RunState(StrEnum):
    """Values of `state` in the status; the module docstring explains each."""

    RUNNING = "running"
    FINISHED = "finished"
    INCOMPLETE = "incomplete"
    PREEMPTED = "preempted"
    FAILED = "failed"
    STALLED = "stalled"


_KINDS: dict[tuple[type, ...], tuple[str, ...]] = {
    (int,): ("processes", "attempt", "stalled", "pid"),
    (int, type(None)): ("steps_at_start", "exit_code", "round", "steps"),
    (str,): ("state", "host", "started"),
    (str, type(None)): ("reason", "job", "ended"),
    (bool,): ("restart", "restored"),
    (list,): ("quarantined",),
}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Status:
    """Contents of `RUN/status.json`; the module docstring explains the fields."""

    processes: int
    attempt: int
    stalled: int
    steps_at_start: int | None
    state: str = RunState.RUNNING
    restart: bool = True
    exit_code: int | None = None
    reason: str | None = None
    round: int | None = None
    steps: int | None = None
    restored: bool = False
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    job: str | None = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID"))
    started: str = field(default_factory=_now)
    ended: str | None = None
    quarantined: list[str] = field(default_factory=list)


def read_status(directory: Path) -> Status | None:
    """Read the status of a run directory; None if no attempt has been started there.

    Raises:
        TrainingError: the file cannot be read, or is not a run status.
    """
    path = RunPaths(directory).status
    try:
        content = read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror or error}", fix="make it readable") from error
    try:
        return _checked(Status(**json.loads(content)))
    except (ValueError, TypeError, RecursionError) as error:
        names = ", ".join(each.name for each in fields(Status))
        raise TrainingError(
            f"{path} is not the status of a run ({error})",
            fix=(
                f"expected a JSON object with {names}. Remove the file and start again: the checkpoints do not need "
                "it, only the restart counter is reset"
            ),
        ) from error


def _checked(status: Status) -> Status:
    """Check the types and ranges of all fields, so that a bad value is found here and not far away.

    Raises:
        ValueError: a field has a wrong type or value.
    """
    for kinds, names in _KINDS.items():
        for name in names:
            value = getattr(status, name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ValueError(f"{name} is {value!r}")
            if isinstance(value, int) and not 0 <= value < 2**63:
                raise ValueError(f"{name} is {value!r}")
    if status.pid == 0 or status.pid >= 2**31:
        raise ValueError(f"pid is {status.pid}")
    for moment in filter(None, (status.started, status.ended)):
        time = datetime.fromisoformat(moment)
        if time.tzinfo is None or not 1 < time.year < 9999:
            raise ValueError(f"found the time {moment!r}, expected one with a time zone")
    if not all(isinstance(language, str) for language in status.quarantined):
        raise ValueError(f"quarantined is {status.quarantined!r}")
    return status


def is_automatic_restart(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether a launcher or SLURM restarted this process, according to its environment variables."""
    environment = os.environ if environment is None else environment
    counts = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    return any(environment.get(name, "0").strip() not in ("", "0") for name in counts)


def begin(directory: Path, *, processes: int, automatic: bool, allowed: int) -> "Attempt":
    """Record the start of an attempt, before anything that can fail. Call `Attempt.restored` next.

    Args:
        automatic: see `is_automatic_restart`. A manual start resets the restart counter.
        allowed: give up after this many consecutive restarts without a new step (run.stalled_restarts); 0: never.

    Raises:
        IncompleteError: the run has ended with languages in quarantine, and they still are.
        StalledError: `allowed` consecutive restarts failed before they had read their checkpoints.
        TrainingError: the status cannot be read or written.
    """
    last = read_status(directory) if automatic else None
    if last is not None and last.exit_code == ExitCode.INCOMPLETE:
        if all(is_quarantined(RunPaths(directory).adapters, language) for language in last.quarantined):
            _end_again(directory, last, processes)
            raise IncompleteError(last.reason or "the run has ended with languages in quarantine")
        last = replace(last, state=RunState.FINISHED)
    if last is None:
        status = Status(processes=processes, attempt=1, stalled=0, steps_at_start=None)
    elif last.state in (RunState.FINISHED, RunState.PREEMPTED):  # it ended as intended: not a stalled restart
        status = Status(processes=processes, attempt=last.attempt + 1, stalled=0, steps_at_start=None)
    else:
        status = Status(
            processes=processes,
            attempt=last.attempt + 1,
            stalled=last.stalled + (not last.restored),
            steps_at_start=last.steps_at_start,
            round=last.round,
            steps=last.steps,
        )
    attempt = Attempt(directory, status, allowed=allowed, last=last)
    attempt._write_or_give_up()
    return attempt


def _end_again(directory: Path, last: Status, processes: int) -> None:
    """Record the run's end again for this start, because a batch script looks for the outcome of each start."""
    here = Status(processes=processes, attempt=last.attempt + 1, stalled=0, steps_at_start=last.steps_at_start)
    own = {name: getattr(here, name) for name in ("processes", "attempt", "host", "pid", "job", "started")}
    _write(directory, replace(last, **own, ended=_now()))


class Attempt:
    """One start of a run, from `begin` to `finish`. If the process is killed, the state stays `running`."""

    def __init__(self, directory: Path, status: Status, *, allowed: int, last: Status | None) -> None:
        self.status = status
        self._directory, self._allowed, self._last = directory, allowed, last

    def restored(self, *, round: int, steps: int) -> None:
        """Record that the checkpoints are read: the run continues after `round`, with `steps` of all languages.

        Raises:
            StalledError: the allowed number of consecutive restarts found no new steps.
            TrainingError: the status cannot be written.
        """
        before, stalled = self.status.steps_at_start, self.status.stalled
        if before is not None and steps > before:
            stalled = 0
        elif before is not None and self._last is not None and self._last.restored:
            stalled += 1
        self.status = replace(
            self.status, round=round, steps=steps, steps_at_start=steps, stalled=stalled, restored=True
        )
        self._write_or_give_up()

    def finish(
        self,
        state: str,
        *,
        exit_code: int,
        reason: str | None = None,
        round: int | None = None,
        steps: int | None = None,
        quarantined: Sequence[str] = (),
    ) -> None:
        """Record the end of the attempt; `round` and `steps` are None if they have not changed since its start.

        A failure that is already recorded (a stall, or a hang found by another rank) is kept, because this rank's
        failure is a consequence of it.

        Raises:
            TrainingError: the status cannot be read or written.
        """
        assert RunState(state) != RunState.RUNNING, "an attempt that has ended"
        recorded = read_status(self._directory)
        if state == RunState.FAILED and recorded is not None and recorded.state in (RunState.FAILED, RunState.STALLED):
            return
        self.status = replace(
            self.status,
            state=state,
            restart=state == RunState.PREEMPTED
            or (state == RunState.FAILED and exit_code not in NON_RETRYABLE_EXIT_CODES),
            exit_code=exit_code,
            reason=reason,
            round=self.status.round if round is None else round,
            steps=self.status.steps if steps is None else steps,
            ended=_now(),
            quarantined=list(quarantined),
        )
        _write(self._directory, self.status)

    def _write_or_give_up(self) -> None:
        """Write the status, or raise `StalledError` if the restarts make no progress."""
        if self._allowed and self.status.stalled >= self._allowed:
            error = self._stalled_error()
            self.finish(RunState.STALLED, exit_code=ExitCode.STALLED, reason=str(error))
            raise error
        _write(self._directory, self.status)

    def _stalled_error(self) -> StalledError:
        status, last = self.status, self._last
        assert last is not None, "the first attempt cannot be a restart"
        if last.state == RunState.STALLED:  # restarted in spite of it: repeat the reason
            return StalledError(last.reason or "")
        where = f"at {status.steps:,} steps, round {status.round:,}" if status.steps else "before the first step"
        why = last.reason or "killed, or its host went down; no error was recorded"
        return StalledError(
            f"{status.stalled} restarts in a row made no progress, {where}, so no other is tried "
            f"(run.stalled_restarts: {self._allowed}). The last attempt ended as follows: {why}",
            fix=f"see {RunPaths(self._directory).events}, fix the cause, then run the same command by hand: it "
            "continues from the last checkpoints, and the restart counter is reset",
        )


def mark_hung(directory: Path, *, reason: str) -> None:
    """Record that the running attempt has failed because a rank hangs. Any rank that detects a hang may call this.

    Raises:
        TrainingError: the status cannot be read or written.
    """
    status = read_status(directory)
    if status is not None and status.state == RunState.RUNNING:
        _write(
            directory,
            replace(status, state=RunState.FAILED, exit_code=ExitCode.FAILED, reason=reason, ended=_now()),
        )


def note_stopped(directory: Path, *, exit_code: int, processes: int = 1) -> None:
    """Record that this process's attempt was stopped, unless its end is already recorded.

    Only rank 0 calls this. `exit_code` is 75 for a stop, and anything else for an interrupt.

    Raises:
        MmsDistError: the status cannot be read or written, or another run holds the directory's lock.
    """
    status = read_status(directory)
    if status is not None and (status.host, status.pid) == (socket.gethostname(), os.getpid()):
        if status.state == RunState.RUNNING:
            _finish(Attempt(directory, status, allowed=0, last=None), exit_code)
        return
    with RunLock(directory):  # the attempt had not begun
        _finish(begin(directory, processes=processes, automatic=is_automatic_restart(), allowed=0), exit_code)


def _finish(attempt: Attempt, exit_code: int) -> None:
    if exit_code == ExitCode.PREEMPTED:
        attempt.finish(RunState.PREEMPTED, exit_code=exit_code)
    else:
        attempt.finish(RunState.FAILED, exit_code=exit_code, reason="interrupted")


def _write(directory: Path, status: Status) -> None:
    replace_text(RunPaths(directory).status, json.dumps(asdict(status), indent=2, ensure_ascii=False) + "\n")
