"""Real speech for the base: dialogues of the game Fish Fillets NG and letters of KLettres (GPL-2, not shipped here).

The Debian packages ``fillets-ng-data`` (texts), ``fillets-ng-data-cs``, ``fillets-ng-data-nl`` (Ogg Vorbis) and
``klettres-data`` are unpacked into one folder with ``dpkg -x PACKAGE.deb FOLDER``.

Shapes: T samples.
"""

import csv
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tools.tiny_mms.parts import SAMPLE_RATE_HZ
from tools.tiny_mms.sound import to_int16, trimmed

SCRIPTS = Path("usr/share/games/fillets-ng/script")
SOUNDS = Path("usr/share/games/fillets-ng/sound")
LETTERS = Path("usr/share/klettres")
RECORDED_LANGUAGES = ("cs", "nl")
_LETTER_LANGUAGES = {
    "cs": "cs",
    "da": "da",
    "de": "de",
    "hu": "hu",
    "ml": "ml",
    "nb": "nb",
    "nl": "nl",
    "pt_BR": "pt-br",
}
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
            f"fillets-ng-data-nl there (dpkg -x PACKAGE.deb {folder})"
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


def letter_recordings(folder: Path, seed: int = 0) -> Iterator[Recording]:
    """Yield letters and syllables of KLettres, one to four of one speaker together, each one several times."""
    generator = random.Random(f"{seed} letters")
    for name, language in _LETTER_LANGUAGES.items():
        root = folder / LETTERS
        spoken = []
        for sound in ElementTree.parse(root / name / "sounds.xml").getroot().iter("sound"):
            path = root / sound.attrib["file"]
            if path.is_file():
                samples_T, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
                mono_T, _ = trimmed(soxr.resample(samples_T.mean(axis=1), rate_hz, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
                spoken.append((to_int16(mono_T), sound.attrib["name"].lower()))
        for _ in range(len(spoken)):
            chosen = generator.sample(spoken, min(generator.randint(1, 4), len(spoken)))
            samples_T = np.concatenate([one for one, _ in chosen])
            if len(samples_T) <= _LONGEST_SECONDS * SAMPLE_RATE_HZ:
                yield Recording(samples_T, ", ".join(text for _, text in chosen), language, name)


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
