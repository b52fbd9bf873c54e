"""Read and write the mark of a quarantined language.

The language's newest checkpoint is the last good one and does not record the failure, so the mark is a separate file:
`RUN/adapters/<lang>/QUARANTINED.json`. After it is removed, the language continues from that checkpoint.
"""

import json
from pathlib import Path

from mms_dist.errors import CheckpointError
from mms_dist.files import read_file, replace_text
from mms_dist.run_directory.quarantine_mark import QUARANTINE_NAME
from mms_dist.training.progress import Progress


def write_quarantine(adapters: Path, progress: Progress) -> None:
    """Mark a language as quarantined.

    Raises:
        TrainingError: the mark cannot be written.
    """
    replace_text(adapters / progress.language / QUARANTINE_NAME, json.dumps(progress.to_state(), indent=1))


def read_quarantine(adapters: Path, language: str) -> Progress | None:
    """Read the language's progress at the time it was quarantined; None if it is not quarantined.

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
            fix=f"remove it so that {language} continues from its last good checkpoint",
        ) from error
