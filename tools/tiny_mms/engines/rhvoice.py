"""RHVoice: statistical voices trained on recordings of real speakers (Debian packages ``rhvoice-XX``).

Only voices whose licence allows everyone to use and change them: no "NC" and no "ND".
"""

import random
import sys
from pathlib import Path

from tools.tiny_mms.engines.server import SpeechServer
from tools.tiny_mms.engines.speech import EngineVoice, Spoken

_SERVER = Path(__file__).with_name("rhvoice_server.py")
_VOICES = {
    "Alicja": "pl", "Magda": "pl", "Michal": "pl", "Natan": "pl",  # CC BY 4.0 (two), public domain (two)
    "Ondro": "sk", "Zdenek": "cs",  # public domain
    "Spomenka": "eo",  # GPL-3
    "Azamat": "ky", "Nazgul": "ky",  # GPL-2+
}  # fmt: skip


class RhvoiceEngine:
    """RHVoice 1.14 in a process of its own, started by ``python``, with the Debian packages unpacked in ``prefix``.

    Newer packages want a newer C library than Debian 12 has: ``python`` may be a dynamic loader with its options.
    """

    def __init__(self, prefix: Path, python: list[str] | None = None) -> None:
        self.voices = tuple(EngineVoice(name, language) for name, language in _VOICES.items())
        self._server = SpeechServer([*(python or [sys.executable]), str(_SERVER), str(prefix)])

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say ``text``."""
        rate, pitch = generator.uniform(0.75, 1.35), generator.uniform(0.8, 1.25)
        return self._server.ask(text=text, voice=voice.name, rate=rate, pitch=pitch)
