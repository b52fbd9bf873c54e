"""Write a Kaldi data folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.layouts.utterances import Spoken
from tests.shard_samples import sound


def write_kaldi(folder: Path, spoken: Sequence[Spoken], wavs: Path) -> None:
    """A data folder whose recordings are whole utterances; `wav.scp` has absolute paths of FLAC files in `wavs`."""
    wavs.mkdir(parents=True, exist_ok=True)
    for one in spoken:
        (wavs / f"{one.key}.flac").write_bytes(one.audio("FLAC"))
    files = {
        "wav.scp": [f"{one.key} {wavs / one.key}.flac" for one in spoken],
        "text": [f"{one.key} {one.text}" for one in spoken],
        "utt2spk": [f"{one.key} {one.speaker}" for one in spoken],
        "spk2gender": sorted({f"{one.speaker} {one.gender[0]}" for one in spoken}),
    }
    write_files(folder, files)


def write_segments(folder: Path, spoken: Sequence[Spoken]) -> None:
    """A data folder with all utterances in one recording, a second each, and their languages."""
    write_files(
        folder,
        {
            "wav.scp": ["radio radio.wav"],
            "segments": [f"{one.key} radio {number}.0 {number}.9" for number, one in enumerate(spoken)],
            "text": [f"{one.key} {one.text}" for one in spoken],
            "utt2lang": [f"{one.key} {one.language}" for one in spoken],
            "utt2spk": [f"{one.key} {one.key}" for one in spoken],
        },
    )
    audio = np.concatenate([sound(1.0, seed=one.number) for one in spoken])
    soundfile.write(folder / "radio.wav", audio, 16_000)


def write_files(folder: Path, files: dict[str, list[str]]) -> None:
    """Files of lines, sorted as Kaldi wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
