"""Parse the arguments of a job's script before the job is submitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.config import Config, load_config
from mms_dist.errors import ConfigError

EXPECTED = {
    "train": "CONFIG, such as configs/train/mms-300m.yaml, and settings such as --optim.lr 5e-4",
    "debug": "CONFIG, such as configs/train/mms-300m.yaml, and settings such as --optim.lr 5e-4",
    "eval": "RUN, such as runs/mms-300m",
    "shards": "SOURCE SHARDS, such as recordings.tsv corpus/",
}
PLACES = {"train": 1, "debug": 1, "eval": 1, "shards": 2}


@dataclass(frozen=True)
class JobSubject:
    """What a job works on: `folder` names the job and gets its logs; `config` is what the job trains or debugs."""

    script: str
    folder: Path
    config: Config | None = None


def subject_of(script: str, what: Sequence[str], settings: Sequence[str]) -> JobSubject:
    """Parse a script's arguments.

    Raises:
        ConfigError: there are too few or too many, a named file does not exist, or the configuration is invalid.
    """
    if len(what) != PLACES[script]:
        raise ConfigError(f"--script {script}: found {' '.join(what)}, expected {EXPECTED[script]}")
    if script in ("train", "debug"):
        config = load_config(what[0], settings)
        return JobSubject(script, Path(config.run.directory), config)
    if script == "eval":
        run = Path(what[0])
        if not (run / "config.yaml").is_file():
            raise ConfigError(f"found no {run / 'config.yaml'}", fix="pass a run directory, such as runs/mms-300m")
        load_config(run / "config.yaml", settings)
        return JobSubject(script, run)
    if settings:
        raise ConfigError(
            f"--script shards: found {settings[0]}, but building shards has no configuration", fix="leave it out"
        )
    source, shards = map(Path, what)
    if not source.exists():
        raise ConfigError(f"found no {source}", fix="pass a manifest (.tsv, .jsonl) or a folder of recordings")
    return JobSubject(script, shards)
