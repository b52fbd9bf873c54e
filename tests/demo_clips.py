"""The utterances of the demo's recordings, and copies of recordings as other tools leave them."""

import csv
import io
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.demo import DEMO_MANIFEST

RATE = 16_000


class Clip(NamedTuple):
    """An utterance of the demo corpus, int16 at 16 kHz."""

    text: str
    audio: NDArray[np.int16]


def demo_texts(code: str) -> list[str]:
    """All sentences of a language of the demo corpus, in small letters."""
    return [row["text"].lower() for row in _rows() if row["lang"] == code]


def demo_clips(name: str, *, least_seconds: float = 0.0) -> list[Clip]:
    """The utterances of one of the demo's recordings, such as `eng-train-1`."""
    rows = [row for row in _rows() if f"{name}." in row["audio"]]
    samples, _ = soundfile.read(DEMO_MANIFEST.parent / rows[0]["audio"], dtype="int16")
    cut = [
        Clip(row["text"], samples[round(float(row["start"]) * RATE) : round(float(row["end"]) * RATE)]) for row in rows
    ]
    return [clip for clip in cut if len(clip.audio) >= least_seconds * RATE]


def _rows() -> list[dict[str, str]]:
    with DEMO_MANIFEST.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def copy_of(
    audio: NDArray[np.int16],
    *,
    gain: float = 1.0,
    cut_seconds: float = 0.0,
    format: str = "WAV",
    subtype: str = "PCM_16",
) -> NDArray[np.int16]:
    """The recording at another level, without its beginning, after it was stored in another format."""
    changed = audio[round(cut_seconds * RATE) :].astype(np.float32) / 32768 * np.float32(gain)
    stored = io.BytesIO()
    soundfile.write(stored, np.clip(changed, -1, 1), RATE, format=format, subtype=subtype)
    stored.seek(0)
    decoded, _ = soundfile.read(stored, dtype="float32")
    return np.clip(np.rint(decoded * 32768), -32768, 32767).astype(np.int16)
