"""Festival: diphones cut from recordings of real speakers (Czech, Finnish), and a statistical Catalan voice.

Debian packages ``festival``, ``festvox-czech-{ph,dita,krb,machac}`` (GPL-2+, GPL-3+), ``festvox-suopuhe-{lj,mv}``
(LGPL-2+) and ``festvox-ca-ona-hts`` (LGPL-2.1+) with the language packages that they need.
"""

import random
import subprocess
import tempfile
from pathlib import Path

import soundfile

from tools.tiny_mms.engines.speech import EngineVoice, Spoken

_VOICES = {
    "czech_ph": ("cs", "iso-8859-2"),
    "czech_dita": ("cs", "iso-8859-2"),
    "czech_krb": ("cs", "iso-8859-2"),
    "czech_machac": ("cs", "iso-8859-2"),
    "suo_fi_lj_diphone": ("fi", "iso-8859-1"),
    "hy_fi_mv_diphone": ("fi", "iso-8859-1"),
    "upc_ca_ona_hts": ("ca", "utf-8"),
}
_STRETCH = (0.75, 1.3)


class FestivalEngine:
    """The voices above, each utterance in a process of its own."""

    def __init__(self) -> None:
        self.voices = tuple(EngineVoice(name, language) for name, (language, _) in _VOICES.items())
        self._folder = tempfile.TemporaryDirectory()

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say ``text``; None where it has a letter that the voice does not know."""
        script, wave = (Path(self._folder.name) / name for name in ("speech.scm", "speech.wav"))
        quoted, stretch = text.replace("\\", "").replace('"', ""), generator.uniform(*_STRETCH)
        lines = (
            f"(voice_{voice.name})",
            f"(Parameter.set 'Duration_Stretch {stretch:.3f})",
            f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{wave}")',
        )
        try:
            script.write_text("\n".join(lines), encoding=_VOICES[voice.name][1])
        except UnicodeEncodeError:
            return None
        wave.unlink(missing_ok=True)
        said = subprocess.run(["festival", "--batch", str(script)], capture_output=True, check=False)
        if said.returncode or not wave.exists():
            return None
        samples_T, rate_hz = soundfile.read(wave, dtype="float32")
        return Spoken(samples_T, rate_hz)
