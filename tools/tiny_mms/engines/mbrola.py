"""MBROLA: diphones cut from recordings of real speakers, with espeak-ng's pronunciation and prosody.

The programs ``espeak-ng`` and ``mbrola`` must be on PATH, and the databases in /usr/share/mbrola (Debian packages
``mbrola-XX``, section non-free: "Permission is granted to use this database for synthesizing speech with and only with
the Mbrola program"; the databases themselves may not be sold).
"""

import random
import subprocess
import tempfile
from pathlib import Path

import soundfile

from tools.tiny_mms.engines.speech import EngineVoice, Spoken

_DATABASES = Path("/usr/share/mbrola")
_WORDS_PER_MINUTE = (110, 230)
_PITCH = (20, 80)
_LANGUAGES = {
    "af": "af", "br": "pt-br", "cr": "hr", "cz": "cs", "de": "de", "ee": "et", "gr": "el", "hu": "hu", "ic": "is",
    "id": "id", "in": "hi", "ir": "fa", "la": "la", "ma": "ms", "nl": "nl", "pl": "pl", "pt": "pt", "sw": "sv",
    "tl": "te", "tr": "tr",
}  # fmt: skip
_NUMBERS = {"br": 4, "cz": 2, "de": 8, "gr": 2, "in": 2, "nl": 3, "sw": 2, "tr": 2}


class MbrolaEngine:
    """All MBROLA voices of languages that the base may hear."""

    def __init__(self) -> None:
        names = [f"{code}{number}" for code in _LANGUAGES for number in range(1, _NUMBERS.get(code, 1) + 1)]
        self.voices = tuple(EngineVoice(name, _LANGUAGES[name[:2]]) for name in names)
        self._folder = tempfile.TemporaryDirectory()

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say ``text``; None where a diphone is missing or the text has no phones."""
        sounds, wave = (str(Path(self._folder.name) / name) for name in ("sounds.pho", "speech.wav"))
        speed, pitch = generator.randint(*_WORDS_PER_MINUTE), generator.randint(*_PITCH)
        command = ["espeak-ng", "-v", f"mb-{voice.name}", "-s", str(speed), "-p", str(pitch), "-q", "--pho"]
        spelled = subprocess.run([*command, f"--phonout={sounds}", "--", text], capture_output=True, check=False)
        if spelled.returncode:
            return None
        database = str(_DATABASES / voice.name / voice.name)
        said = subprocess.run(["mbrola", database, sounds, wave], capture_output=True, check=False)
        if said.returncode or said.stderr:
            return None
        samples_T, rate_hz = soundfile.read(wave, dtype="float32")
        return Spoken(samples_T, rate_hz)
