"""The files and folders of a run directory, by name.

RUN/config.yaml, hardware.json, status.json, run.lock, events.jsonl, metrics.jsonl, tensorboard/, logs/, eval/,
  export/, report.html
RUN/adapters/<lang>/QUARANTINED.json
RUN/adapters/<lang>/step-%08d/{adapter.<lang>.safetensors, optimizer.safetensors, state.json, vocab.json,
                               MANIFEST.json}
RUN/adapters/<lang>/{last,best} -> step-%08d
"""

import os
from dataclasses import dataclass
from pathlib import Path

CONFIG_NAME, HARDWARE_NAME, STATUS_NAME = "config.yaml", "hardware.json", "status.json"
EVENTS_NAME, METRICS_NAME = "events.jsonl", "metrics.jsonl"
ADAPTERS_NAME, LOGS_NAME = "adapters", "logs"
QUARANTINE_NAME = "QUARANTINED.json"
OPTIMIZER_NAME, STATE_NAME, VOCABULARY_NAME = "optimizer.safetensors", "state.json", "vocab.json"
MANIFEST_NAME = "MANIFEST.json"


@dataclass(frozen=True)
class RunPaths:
    """The paths in a run directory. None of them need exist."""

    directory: Path

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "directory", Path(directory))

    @property
    def config(self) -> Path:
        """The configuration of the last start, with absolute paths."""
        return self.directory / CONFIG_NAME

    @property
    def hardware(self) -> Path:
        """The settings that the hardware of the first start decided."""
        return self.directory / HARDWARE_NAME

    @property
    def status(self) -> Path:
        """The status of the last attempt."""
        return self.directory / STATUS_NAME

    @property
    def lock(self) -> Path:
        """Held by the process that writes to the directory."""
        return self.directory / "run.lock"

    @property
    def events(self) -> Path:
        """One line per event, of all attempts."""
        return self.directory / EVENTS_NAME

    @property
    def metrics(self) -> Path:
        """One line per reporting interval, of all attempts."""
        return self.directory / METRICS_NAME

    @property
    def tensorboard(self) -> Path:
        return self.directory / "tensorboard"

    @property
    def logs(self) -> Path:
        """Output of the processes, if a launcher writes it there."""
        return self.directory / LOGS_NAME

    @property
    def adapters(self) -> Path:
        """One folder of checkpoints per language."""
        return self.directory / ADAPTERS_NAME

    @property
    def export(self) -> Path:
        """Default destination of `mms-dist export`."""
        return self.directory / "export"

    @property
    def evaluations(self) -> Path:
        """Scores and transcripts of `mms-dist eval`, one file of each per split."""
        return self.directory / "eval"

    @property
    def report(self) -> Path:
        """Default page of `mms-dist report --html`."""
        return self.directory / "report.html"
