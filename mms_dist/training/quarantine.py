"""The mark of a language that was taken out of a run, beside its checkpoints.

Its newest checkpoint is the last good one and says nothing of what came after, so the mark is a file of its own:
`RUN/adapters/<lang>/QUARANTINED.json`. Removing it lets the language go on from that checkpoint.
"""

import json
from pathlib import Path

from mms_dist.checkpoint.quarantine_mark import QUARANTINE_NAME
from mms_dist.errors import CheckpointError
from mms_dist.files import read_file, replace_text
from mms_dist.training.progress import Progress


def write_quarantine(adapters: Path, progress: Progress) -> None:
    """Mark a language.

    Raises:
        TrainingError: the mark cannot be written.
    """
    replace_text(adapters / progress.language / QUARANTINE_NAME, json.dumps(progress.to_state(), indent=1))


def read_quarantine(adapters: Path, language: str) -> Progress | None:
    """The language's state when it was taken out; None if it was not.

    Raises:
        CheckpointError: the mark cannot be read.
    """
    path = adapters / language / QUARANTINE_NAME
    try:
        return Progress.from_state(json.loads(read_file(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"the quarantine mark {path} cannot be read ({error})",
            fix=f"remove it to let {language} go on from its last good checkpoint",
        ) from error
