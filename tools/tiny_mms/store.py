"""Store utterances with phone labels on disk: one flat array of audio, one of labels, one of frame classes.

Shapes: N utterances, T samples, F frames, L labels.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.tiny_mms.phones import PhoneInventory

_FIELDS = {"audio": np.int16, "labels": np.int16, "frames": np.int8}


@dataclass(frozen=True)
class LabelledSpeech:
    """One utterance; ``frames_F`` is empty if there is no alignment (recordings)."""

    samples_T: NDArray[np.int16]
    labels_L: NDArray[np.int16]
    frames_F: NDArray[np.int8]
    kind: str


class SpeechStore:
    """Read access; ``kinds_N`` names each utterance's origin (``synthetic``, ``recorded`` or a test set)."""

    def __init__(self, folder: Path) -> None:
        table = np.load(folder / "table.npz")
        self._ends = {field: table[field] for field in _FIELDS}
        self.kinds_N: NDArray[np.str_] = table["kinds"]
        self.inventory = PhoneInventory(json.loads((folder / "phones.json").read_text(encoding="utf-8")))
        self._arrays = {field: np.memmap(folder / f"{field}.bin", dtype, "r") for field, dtype in _FIELDS.items()}

    def __len__(self) -> int:
        return len(self.kinds_N)

    @property
    def samples_N(self) -> NDArray[np.int64]:
        """Length of every utterance in samples."""
        return np.diff(self._ends["audio"], prepend=0)

    def where(self, kind: str) -> NDArray[np.int64]:
        """Return the indices of the utterances of one kind."""
        return np.flatnonzero(self.kinds_N == kind)

    def __getitem__(self, index: int) -> LabelledSpeech:
        parts = {}
        for field, ends in self._ends.items():
            start = ends[index - 1] if index else 0
            parts[field] = np.asarray(self._arrays[field][start : ends[index]])
        return LabelledSpeech(parts["audio"], parts["labels"], parts["frames"], str(self.kinds_N[index]))


def write_store(folder: Path, inventory: PhoneInventory, utterances: Iterable[LabelledSpeech]) -> None:
    """Write ``utterances`` one by one. The table is written last, so an incomplete store cannot be opened."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "phones.json").write_text(json.dumps(inventory.letters, ensure_ascii=False), encoding="utf-8")
    ends: dict[str, list[int]] = {field: [] for field in _FIELDS}
    written = dict.fromkeys(_FIELDS, 0)
    kinds = []
    files = {field: (folder / f"{field}.bin").open("wb") for field in _FIELDS}
    try:
        for speech in utterances:
            arrays: dict[str, NDArray[Any]] = {
                "audio": speech.samples_T,
                "labels": speech.labels_L,
                "frames": speech.frames_F,
            }
            for field, dtype in _FIELDS.items():
                files[field].write(arrays[field].astype(dtype, copy=False).tobytes())
                written[field] += len(arrays[field])
                ends[field].append(written[field])
            kinds.append(speech.kind)
    finally:
        for file in files.values():
            file.close()
    columns: dict[str, Any] = {field: np.array(ends[field], np.int64) for field in _FIELDS}
    np.savez(folder / "table.npz", kinds=np.array(kinds), **columns)
