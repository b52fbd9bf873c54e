"""Parts: an hour of labelled speech of one source in one folder, written once and never changed.

A part keeps IPA letters rather than class numbers, so the phone classes can be chosen when training begins.

Shapes: T samples.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
_AUDIO, _TABLE = "audio.bin", "utterances.jsonl"


@dataclass(frozen=True)
class Utterance:
    """One spoken text: 16 kHz int16 ``samples_T``.

    ``phones`` are IPA strings as espeak-ng names them; ``starts`` are their first samples, or None where only the
    order is known. ``language`` is the espeak-ng voice that made the phones.
    """

    samples_T: NDArray[np.int16]
    language: str
    voice: str
    text: str
    phones: list[str]
    starts: list[int] | None = None


def write_part(folder: Path, utterances: Iterable[Utterance]) -> float:
    """Write ``utterances`` to ``folder`` and return their seconds; the folder appears only when it is complete."""
    staging = folder.with_name(folder.name + ".incomplete")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    samples = 0
    with (staging / _AUDIO).open("wb") as audio, (staging / _TABLE).open("w", encoding="utf-8") as table:
        for one in utterances:
            audio.write(one.samples_T.astype("<i2", copy=False).tobytes())
            samples += len(one.samples_T)
            row = {
                "end": samples,
                "language": one.language,
                "voice": one.voice,
                "text": one.text,
                "phones": one.phones,
                "starts": one.starts,
            }
            table.write(json.dumps(row, ensure_ascii=False) + "\n")
    staging.rename(folder)
    return samples / SAMPLE_RATE_HZ


def read_part(folder: Path) -> Iterator[Utterance]:
    """Yield the utterances of one part; their audio is mapped, not read."""
    audio = np.memmap(folder / _AUDIO, "<i2", "r")
    start = 0
    with (folder / _TABLE).open(encoding="utf-8") as table:
        for line in table:
            row = json.loads(line)
            samples_T = audio[start : row["end"]]
            phones = [sys.intern(ipa) for ipa in row["phones"]]
            yield Utterance(samples_T, row["language"], row["voice"], row["text"], phones, row["starts"])
            start = row["end"]
