"""The outputs of a recording in a temporary file, so that its length costs disk, not memory.

Legend: T frames, V labels of the vocabulary.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EmissionFile:
    """Log-probabilities in a file, float32 `[T, V]`. Other processes can read it, too."""

    path: Path
    frames: int
    labels: int

    @classmethod
    def write(cls, outputs: Iterable[NDArray[np.float32]], labels: int) -> "EmissionFile":
        """Write the outputs `[T, V]` of a recording, piece by piece; the caller removes the file.

        Raises:
            OSError: the temporary folder is full. Nothing is left there after an error.
        """
        frames = 0
        with tempfile.NamedTemporaryFile(prefix="mms-dist-align-", delete=False) as file:
            try:
                for output_TV in outputs:
                    file.write(np.ascontiguousarray(output_TV, np.float32).tobytes())
                    frames += len(output_TV)
            except BaseException:
                Path(file.name).unlink()
                raise
        return cls(Path(file.name), frames, labels)

    def read(self, first: int, stop: int) -> NDArray[np.float32]:
        """Return the log-probabilities of the frames from one number up to another."""
        row_bytes = 4 * self.labels
        count = (stop - first) * self.labels
        found = np.fromfile(self.path, np.float32, count=count, offset=first * row_bytes)
        return found.reshape(-1, self.labels)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
