"""`RUN/events.jsonl`: the events of a run, one JSON object per line, for people, `jq` and `mms-dist report`.

Every line has `time` (UTC, ISO 8601) and `kind`; `round` and `language` where they apply; then the fields of that
kind. The file only grows (`json_lines`): a resumed run appends to it.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mms_dist.errors import TrainingError
from mms_dist.files import read_file
from mms_dist.monitor.json_lines import JsonLines, is_amount, is_amount_or_not_finite, is_count, is_time, parse

# kind -> its fields besides time, round and language: what the event means
KINDS = {
    "run_started": "languages, versions: of the software by name",
    "run_resumed": "languages, versions",
    "admitted": "step, steps, utterances, audio_seconds: a language got a slot",
    "evaluated": "step, cer, wer, utterances, best: scored on its dev split; step 0 is before training",
    "checkpoint_saved": "step, best: the checkpoint is on disk; best: it has the lowest dev CER so far",
    "finished": "step, reason: steps | early_stop | target",
    "quarantined": "step, reason: the language stopped, the others continue",
    "head_mapped": "taken, new, unused: rows of the head came by character from another vocabulary, new ones were made",
    "damaged_sample": "key, split, row, shard, reason: an utterance was left out",
    "checkpoint_damaged": "path, reason: a damaged checkpoint was skipped",
    "data_changed": "step: the training data or batches differ from those of the checkpoint; a new epoch starts",
    "draws_changed": "what, after_step by language: later random draws differ from the version that started the run",
    "features_not_spilled": "reason: the disk for front-end features failed; training continues without it",
    "memory_not_pinned": "reason: there was not enough page-locked memory; training continues more slowly",
    "reopened": "step, steps: the language had finished, and the configuration now gives it more steps",
    "preempted": "signal or reason",
    "run_failed": "reason",
    "run_incomplete": "reason: the run ended, but some languages are in quarantine or could not be scored",
    "run_finished": "seconds",
}

_COUNTS = {"round", "step", "steps", "utterances"}
_RATES = {"cer", "wer"}


class EventLog:
    """Appends lifecycle events to one file. Several threads may write."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open `path`, create it and its folder if they are missing, and remove a torn last line.

        Raises:
            TrainingError: the file cannot be written.
        """
        self.path = Path(path)
        self._lines = JsonLines(path, is_whole=lambda line: _parse(line) is not None)

    def write(
        self, kind: str, *, round: int | None = None, language: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Append one event and return it as readers will see it.

        Raises:
            TrainingError: the disk is full, or the file is gone.
        """
        assert kind in KINDS, f"{kind!r} is not in KINDS"
        event: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
        if round is not None:
            event["round"] = round
        if language is not None:
            event["language"] = language
        return self._lines.append(event | fields)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._lines.close()


def read_events(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a log, oldest first, without a torn last line.

    Raises:
        TrainingError: the file is missing, or a line before the last is not an event.
    """
    try:
        lines = read_file(Path(path)).split(b"\n")
    except OSError as error:
        raise TrainingError(
            f"cannot read {path}: {error.strerror}", fix="pass the event log of a run (RUN/events.jsonl)"
        ) from error
    last = len(lines)  # an intact log ends in a newline, so its last line here is empty
    for number, line in enumerate(lines, start=1):
        event = _parse(line)
        if event is not None:
            yield event
        elif number != last:
            raise TrainingError(
                f"{path}, line {number}: found {line[:60].decode(errors='replace')!r}, expected a JSON object with "
                "time, kind and the fields of that kind",
                fix="remove that line (training does not read this file)",
            )


def as_float(value: Any) -> float:
    """Return a number of an event as a float; the strings "nan", "inf" and "-inf" count as numbers."""
    return float(value)


def _parse(line: bytes) -> dict[str, Any] | None:
    event = parse(line)
    return event if event is not None and _is_event(event) else None


def _is_event(event: dict[str, Any]) -> bool:
    """Whether the fields that readers use have the types that the log writes."""
    if not isinstance(event.get("kind"), str) or not is_time(event.get("time")):
        return False
    codes = event.get("languages", [])
    return (
        isinstance(event.get("language", ""), str)
        and isinstance(codes, list)
        and all(isinstance(code, str) for code in codes)
        and all(is_count(event[name]) for name in _COUNTS & event.keys())
        and all(is_amount_or_not_finite(event[name]) for name in _RATES & event.keys())
        and is_amount(event.get("audio_seconds", 0))
    )
