"""Read a run from its files: the event log, and the state stored in each checkpoint."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

from mms_dist.errors import MmsDistError
from mms_dist.files import read_file
from mms_dist.monitor.events import read_events
from mms_dist.monitor.history import FINISHED, QUARANTINED, CurvePoint, History, LanguageHistory
from mms_dist.monitor.run_summary import RunSummary
from mms_dist.run_directory.paths import ADAPTERS_NAME, EVENTS_NAME, QUARANTINE_NAME, STATE_NAME, RunPaths

MOST_DIGITS = 18
"""Maximum number of digits of a step."""


def read_run(run_directory: str | os.PathLike[str]) -> tuple[RunSummary, History]:
    """Read every language of a run, in alphabetical order, whether the run is active or not.

    Raises:
        MmsDistError: the folder is not a run, or its event log cannot be read.
    """
    directory, paths = Path(run_directory), RunPaths(run_directory)
    log, adapters = paths.events, paths.adapters
    if not log.is_file() and not adapters.is_dir():
        found = "neither" if directory.is_dir() else "no such folder"
        raise MmsDistError(
            f"{directory} is not a run: expected {EVENTS_NAME} or {ADAPTERS_NAME}/ in it, found {found}",
            fix="pass the run.directory of a configuration",
        )
    history = History(events=read_events(log) if log.is_file() else ())
    apply_checkpoints(history, adapters)
    ordered = [history.languages[code] for code in sorted(history.languages)]
    return RunSummary(directory, ordered), history


def apply_checkpoints(history: History, adapters: Path) -> None:
    """Correct the history from the checkpoints on disk: languages may be copied in from other runs."""
    for mark in sorted(adapters.glob(f"*/{QUARANTINE_NAME}")):
        code = mark.parent.name
        _apply_quarantine(history.languages.setdefault(code, LanguageHistory(language=code)), _read_state(mark))
    for last in sorted(adapters.glob("*/last")):
        code, folder = last.parent.name, last.resolve()
        if folder.is_dir() and (step := _step_of(folder)) is not None:
            _apply_checkpoint(history.languages.setdefault(code, LanguageHistory(language=code)), folder, step)


def reset_deleted(history: History, adapters: Path) -> None:
    """Reset languages whose checkpoints were deleted: they start again, whatever the events say."""
    for code, language in history.languages.items():
        if language.checkpoint_step is not None and not (adapters / code).is_dir():
            history.languages[code] = LanguageHistory(language=code)


def as_json(summary: RunSummary, history: History) -> dict[str, Any]:
    """Return the run as plain values: rates are fractions, times are ISO 8601, unknown values are null."""
    return {
        "run": str(summary.run_directory),
        "started": _iso(history.started),
        "last_event": _iso(history.last),
        "ended": history.ended or None,
        "round": history.round,
        "languages": {language.language: _language_json(language) for language in summary.languages},
    }


def _language_json(language: LanguageHistory) -> dict[str, Any]:
    best = language.best
    return {
        "state": language.state,
        "reason": language.reason or None,
        "quarantined_since_step": language.step if language.state == QUARANTINED else None,
        "step": language.step,
        "steps": language.steps or None,
        "utterances": language.utterances or None,
        "audio_seconds": round(language.audio_seconds, 3) or None,
        "initial_cer": _finite(language.initial.cer) if language.initial else None,
        "cer": _finite(language.latest.cer) if language.latest else None,
        "wer": _finite(language.latest.wer) if language.latest else None,
        "best_cer": _finite(best.cer) if best else None,
        "best_wer": _finite(best.wer) if best else None,
        "best_step": best.step if best else None,
        "checkpoint_step": language.checkpoint_step,
        "checkpoint_time": _iso(language.checkpoint_time),
        "damaged_samples": language.damaged_samples,
        "curve": [
            {"step": point.step, "cer": _finite(point.cer), "wer": _finite(point.wer)} for point in language.curve
        ],
    }


def _apply_checkpoint(language: LanguageHistory, folder: Path, step: int) -> None:
    language.checkpoint_step = step
    language.checkpoint_time = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    if language.step == 0 and not language.curve:  # copied from another run, whose events are not here
        language.step = step
        state = _read_state(folder / STATE_NAME)
        _apply_state(language, state["state"] if isinstance(state.get("state"), dict) else state)


def _read_state(path: Path) -> dict[str, Any]:
    """Read the state of a checkpoint; empty if it is damaged, which is reported when the checkpoint is loaded."""
    try:
        state = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _apply_quarantine(language: LanguageHistory, mark: dict[str, Any]) -> None:
    """Apply a quarantine mark. It overrides the events, which may be lost or from another folder."""
    if language.state != QUARANTINED:
        step, reason = mark.get("step"), mark.get("reason")
        language.state, language.reason = QUARANTINED, str(reason or f"the reason in {QUARANTINE_NAME} cannot be read")
        language.step = step if _is_step(step) else language.step


def _step_of(folder: Path) -> int | None:
    """Return the step from the folder's name, or from its state if a copied run has a folder instead of a link."""
    step = folder.name.removeprefix("step-")
    if step.isascii() and step.isdecimal() and len(step) < MOST_DIGITS:
        return int(step)
    stored = _read_state(folder / STATE_NAME).get("step") if folder.name == "last" else None
    return stored if _is_step(stored) else None


def _is_step(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MOST_DIGITS


def _apply_state(language: LanguageHistory, state: dict[str, Any]) -> None:
    """Apply the state of a checkpoint to the history of its language."""
    if state.get("status") in (FINISHED, QUARANTINED):
        language.state, language.reason = state["status"], str(state.get("reason") or "")
    best = state.get("best")
    if not isinstance(best, dict):
        return
    step, cer, wer, initial = (best.get(name) for name in ("step", "cer", "wer", "initial"))
    if isinstance(initial, float):
        language.curve.append(CurvePoint(0, initial, math.nan, 0, best=True))
    if isinstance(step, int) and _is_step(step) and step > 0 and isinstance(cer, float) and isinstance(wer, float):
        language.curve.append(CurvePoint(step, cer, wer, 0, best=True))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _finite(value: float) -> float | None:
    return value if value - value == 0 else None
