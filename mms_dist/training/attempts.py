"""`RUN/status.json`: how the run's last attempt stands, for whoever decides whether to start it again.

Launchers mask the exit codes of the processes they start, and a process that is killed has none: this file says it
instead. Rank 0 writes it, holding the run's lock; only the rank that finds rank 0 hung writes in its place
(`mark_hung`). Its fields:

    state           running    an attempt is at work; if its process is gone, it was killed: restart
                    finished   every language is done: do not restart
                    incomplete it has come to its end, but some languages are in quarantine or could not be scored: do
                               not restart, look at `reason`
                    preempted  stopped on a signal, with a checkpoint of every language: restart
                    failed     ended by an error; `restart` tells whether the same command may do better. With exit
                               code 65: all languages are in quarantine
                    stalled    restarts make no progress: do not restart, look at `reason`
    restart         the conclusion from `state` and `exit_code`: whether to run the same command again
    exit_code       of the attempt; null while it runs
    reason          of `failed`, `incomplete` and `stalled`, else null
    quarantined     the languages in quarantine at the end of a run that is `incomplete`, or `failed` by them
    round, steps    the last round, and the optimizer steps of all languages together, as far as they are known; null
                    until the first attempt has read the checkpoints
    steps_at_start  what `steps` was when the last attempt that came so far had read the checkpoints
    restored        whether this attempt came so far
    attempt         1 for a start by hand, one more with every automatic restart after it
    stalled         how many of those restarts in a row have found no step more than the one before them
    processes       how many ranks
    host, pid       of rank 0
    job             the SLURM job's number; null outside of one
    started, ended  ISO 8601, UTC; ended is null while it runs
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from mms_dist.checkpoint.quarantine_mark import is_quarantined
from mms_dist.errors import ExitCode, IncompleteError, StalledError, TrainingError
from mms_dist.files import read_file, replace_text

STATUS_NAME = "status.json"
NON_RETRYABLE_EXIT_CODES = (ExitCode.USER_ERROR, ExitCode.INCOMPLETE, ExitCode.INTERRUPTED)
"""Starting the same command again does no better before someone has looked."""


class RunState(StrEnum):
    """`state` of the status; the module's text explains each."""

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


@dataclass(frozen=True)
class Status:
    """What `RUN/status.json` says; the module's text explains the fields."""

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
    """The status of a run directory, None if no attempt has begun there.

    Raises:
        TrainingError: there is a file that says something else.
    """
    path = directory / STATUS_NAME
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
                f"expected a JSON object with {names}. Remove the file and start again: checkpoints do not need it, "
                "only the count of restarts begins anew"
            ),
        ) from error


def _checked(status: Status) -> Status:
    """
    Raises:
        ValueError: a field is not of its kind, which would show far from here.
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
            raise ValueError(f"found the time {moment!r}, expected one with its zone")
    if not all(isinstance(language, str) for language in status.quarantined):
        raise ValueError(f"quarantined is {status.quarantined!r}")
    return status


def is_automatic_restart(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a launcher or SLURM started this process again by itself, by what they set in the environment."""
    environment = os.environ if environment is None else environment
    counts = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    return any(environment.get(name, "0").strip() not in ("", "0") for name in counts)


def begin(directory: Path, *, processes: int, automatic: bool, allowed: int) -> "Attempt":
    """Note the begin of an attempt, before anything that can fail; `Attempt.restored` is next.

    Args:
        automatic: see `is_automatic_restart`. A start by hand begins counting anew.
        allowed: restarts in a row without a step more, at which to give up (run.stalled_restarts); 0: never.

    Raises:
        IncompleteError: the run has ended with languages in quarantine, and they are so still.
        StalledError: so many restarts in a row did not even come to read their checkpoints.
        TrainingError: the status cannot be read or written.
    """
    last = read_status(directory) if automatic else None
    if last is not None and last.exit_code == ExitCode.INCOMPLETE:
        if all(is_quarantined(directory / "adapters", language) for language in last.quarantined):
            _end_again(directory, last, processes)
            raise IncompleteError(last.reason or "the run has ended with languages in quarantine")
        last = replace(last, state=RunState.FINISHED)
    if last is None:
        status = Status(processes=processes, attempt=1, stalled=0, steps_at_start=None)
    elif last.state in (RunState.FINISHED, RunState.PREEMPTED):  # it ended by itself: nothing is wrong
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
    attempt._go_on()
    return attempt


def _end_again(directory: Path, last: Status, processes: int) -> None:
    """Write the end of a run down as that of this start too: a batch script looks for what came of the start."""
    here = Status(processes=processes, attempt=last.attempt + 1, stalled=0, steps_at_start=last.steps_at_start)
    own = {name: getattr(here, name) for name in ("processes", "attempt", "host", "pid", "job", "started")}
    _write(directory, replace(last, **own, ended=_now()))


class Attempt:
    """One start of a run, from `begin` to `finish`; a killed process leaves it running."""

    def __init__(self, directory: Path, status: Status, *, allowed: int, last: Status | None) -> None:
        self.status = status
        self._directory, self._allowed, self._last = directory, allowed, last

    def restored(self, *, round: int, steps: int) -> None:
        """The checkpoints are read: the run stands after `round`, with `steps` of all languages together.

        Raises:
            StalledError: it stood there before, as often as is allowed.
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
        self._go_on()

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
        """Note the end of the attempt; `round` and `steps` as far as it came, None if they are as at its start.

        A failure that is noted already (a stall, or a hang that another rank found) stands: what happens to this rank
        after that follows from it.

        Raises:
            TrainingError: the status cannot be read or written.
        """
        assert RunState(state) != RunState.RUNNING, "an attempt that has ended"
        noted = read_status(self._directory)
        if state == RunState.FAILED and noted is not None and noted.state in (RunState.FAILED, RunState.STALLED):
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

    def _go_on(self) -> None:
        """Write the status, or give up if the restarts make no progress."""
        if self._allowed and self.status.stalled >= self._allowed:
            reason = self._why_stalled()
            self.finish(RunState.STALLED, exit_code=ExitCode.STALLED, reason=reason)
            raise StalledError(reason)
        _write(self._directory, self.status)

    def _why_stalled(self) -> str:
        status, last = self.status, self._last
        assert last is not None, "the first attempt cannot be a restart"
        if last.state == RunState.STALLED:  # restarted all the same: say again what was said
            return last.reason or ""
        where = f"at {status.steps:,} steps, round {status.round:,}" if status.steps else "before the first step"
        why = last.reason or "it was killed, or its host went down, and could not say why"
        return (
            f"{status.stalled} restarts in a row found the run where the one before had found it, {where}; no other is "
            f"tried (run.stalled_restarts: {self._allowed}). How the last attempt ended: {why}. "
            f"{self._directory / 'events.jsonl'} tells more. Fix that, then run the same command by hand: it goes on "
            "from the last checkpoints, and restarts are counted anew"
        )


def mark_hung(directory: Path, *, reason: str) -> None:
    """Note, on whichever rank finds it, that the attempt at work fails because a rank hangs: restart.

    Raises:
        TrainingError: the status cannot be read or written.
    """
    status = read_status(directory)
    if status is not None and status.state == RunState.RUNNING:
        _write(
            directory,
            replace(
                status, state=RunState.FAILED, exit_code=ExitCode.FAILED, reason=reason.split("\n")[0], ended=_now()
            ),
        )


def _write(directory: Path, status: Status) -> None:
    replace_text(directory / STATUS_NAME, json.dumps(asdict(status), indent=2, ensure_ascii=False) + "\n")
