"""A folder of noise that is mixed into utterances.

Legend: S audio samples at 16 kHz.
"""

from pathlib import Path

import numpy as np

from mms_dist.conditions.condition import as_float, level_of
from mms_dist.errors import DataError
from shards.audio.audio_errors import UndecodableError
from shards.audio.extensions import readable_extensions, recordings_below
from shards.audio.recording import Recording
from shards.schema import SAMPLE_RATE

_TRIES = 20


class NoiseFolder:
    """Recordings in a folder and all below it, of any length and format that `shards build` reads.

    What is drawn depends on the names and contents of the files below the folder, not on where it is.

    Raises:
        DataError: the folder does not exist, has no recordings, or one that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"the noise folder {folder} does not exist", fix="give a folder of recordings to --noise")
        self.folder = folder
        self._paths = recordings_below(folder)
        if not self._paths:
            raise DataError(
                f"the noise folder {folder} has no recordings",
                fix=f"give files that end with .{', .'.join(readable_extensions())}",
            )
        self._seconds = [self._length(path) for path in self._paths]

    def draw(self, samples: int, random: np.random.Generator) -> np.ndarray:
        """Return a piece of a recording, float32 [samples]; a recording that is too short is repeated.

        A piece that is digital silence is drawn again.

        Raises:
            DataError: a recording cannot be read, or many pieces in a row are silent.
        """
        for _ in range(_TRIES):
            which = int(random.integers(len(self._paths)))
            spare = max(self._seconds[which] - samples / SAMPLE_RATE, 0)
            start = random.random() * spare
            piece_S = self._piece(self._paths[which], start, start + (samples + 1) / SAMPLE_RATE)
            if level_of(piece_S):
                return np.resize(piece_S, samples)
        raise DataError(
            f"{_TRIES} pieces of recordings in {self.folder} are silent", fix="remove silent recordings from the folder"
        )

    def _piece(self, path: Path, start_seconds: float, end_seconds: float) -> np.ndarray:
        with self._opened(path) as recording:
            try:
                return as_float(recording.cut(start_seconds, end_seconds))
            except UndecodableError as error:
                raise self._unreadable(path, error.found, error.fix) from error

    def _length(self, path: Path) -> float:
        with self._opened(path) as recording:
            if not recording.seconds:
                raise self._unreadable(path, "it is empty")
            return recording.seconds

    def _opened(self, path: Path) -> Recording:
        try:
            return Recording(path)
        except UndecodableError as error:
            raise self._unreadable(path, error.found, error.fix) from error

    def _unreadable(self, path: Path, found: str, fix: str | None = None) -> DataError:
        fix = fix or "remove it from the folder, or convert it"
        return DataError(f"{path} cannot be read as noise: {found}", fix=fix)
