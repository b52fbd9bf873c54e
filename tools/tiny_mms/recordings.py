"""Real speech for the base: the Czech and Dutch dialogues of Fish Fillets NG (GPL-2, not shipped here).

The Debian packages ``fillets-ng-data`` (texts), ``fillets-ng-data-cs`` and ``fillets-ng-data-nl`` (Ogg
Vorbis) are unpacked into one folder with ``dpkg -x PACKAGE.deb FOLDER``.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
SCRIPTS = Path("usr/share/games/fillets-ng/script")
SOUNDS = Path("usr/share/games/fillets-ng/sound")
RECORDED_LANGUAGES = ("cs", "nl")
_LINE = re.compile(r'dialogId\("([^"]+)".*?dialogStr\("((?:[^"\\]|\\.)*)"\)', re.DOTALL)
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.6, 10.0
_CHARACTERS_PER_SECOND = (3.0, 22.0)


@dataclass(frozen=True)
class Recording:
    """One spoken line: ``samples_T`` is 16 kHz mono int16, ``scene`` is its level of the game."""

    samples_T: NDArray[np.int16]
    text: str
    language: str
    scene: str


def dialogue_lines(script: Path) -> Iterator[tuple[str, str]]:
    """Yield (sound name, text) for each line of a Lua dialogue file."""
    for name, text in _LINE.findall(script.read_text(encoding="utf-8")):
        yield name, text.replace('\\"', '"').replace("\\n", " ")


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield all usable lines under ``folder``, without songs and lines that do not match their text.

    Raises:
        FileNotFoundError: ``folder`` does not have the unpacked packages.
    """
    if not (folder / SCRIPTS).is_dir():
        raise FileNotFoundError(
            f"{folder / SCRIPTS} is missing; unpack fillets-ng-data, fillets-ng-data-cs and "
            f"fillets-ng-data-nl there (dpkg -x PACKAGE.deb {folder}), or train without --recordings"
        )
    for language in RECORDED_LANGUAGES:
        for script in sorted((folder / SCRIPTS).glob(f"*/dialogs_{language}.lua")):
            scene = script.parent.name
            for name, text in dialogue_lines(script):
                path = folder / SOUNDS / scene / language / f"{name}.ogg"
                if not path.is_file():
                    continue
                samples_T, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
                mono_T = soxr.resample(samples_T.mean(axis=1), rate_hz, SAMPLE_RATE_HZ)
                seconds = len(mono_T) / SAMPLE_RATE_HZ
                fits = _CHARACTERS_PER_SECOND[0] <= len(text) / max(seconds, 0.1) <= _CHARACTERS_PER_SECOND[1]
                if fits and _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
                    yield Recording(to_int16(mono_T), text, language, scene)


def demo_recordings(manifest: Path, splits: tuple[str, ...] = ("dev", "test")) -> Iterator[Recording]:
    """Yield the utterances of ``splits`` in the demo corpus; ``scene`` is their split."""
    audio: dict[str, NDArray[np.float32]] = {}
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["split"] not in splits:
                continue
            if row["audio"] not in audio:
                audio[row["audio"]], _ = soundfile.read(manifest.parent / row["audio"], dtype="float32")
            start, end = (round(float(row[edge]) * SAMPLE_RATE_HZ) for edge in ("start", "end"))
            samples_T = to_int16(audio[row["audio"]][start:end])
            yield Recording(samples_T, row["text"], row["lang"], row["split"])


def to_int16(samples_T: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert float samples to int16, scaled to a peak of 0.9 so that nothing clips."""
    peak = float(np.abs(samples_T).max(initial=1e-4))
    return np.round(samples_T * (0.9 * 32767 / peak)).astype(np.int16)
