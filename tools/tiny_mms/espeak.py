"""espeak-ng through ctypes: text → 16-bit audio, and phones with the sample at which each starts."""

import ctypes
import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

_SYNCHRONOUS_OUTPUT = 2
_PHONEME_EVENTS_AS_IPA = 3
_EVENT_END = 0
_EVENT_WORD = 1
_EVENT_PHONEME = 7
_IPA = 2  # of espeak_TextToPhonemes
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
_CHARACTERS = 1  # espeakCHARS_UTF8; also POS_CHARACTER
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER


class _EventIdentity(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventIdentity),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Speech:
    """``samples_T`` (int16) at ``rate_hz``, and (IPA, first sample) pairs; IPA "" is a pause or the end.

    ``words`` are (first character in the text, first sample) pairs.
    """

    samples_T: NDArray[np.int16]
    rate_hz: int
    phones: list[tuple[str, int]]
    words: list[tuple[int, int]] = field(default_factory=list)


class Synthesizer:
    """The espeak-ng library of this process. It has global state: use one instance, from one thread."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path().encode()
        self.rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, data_path, _PHONEME_EVENTS_AS_IPA)
        if self.rate_hz <= 0:
            raise RuntimeError(f"espeak-ng did not start with the voices in {data_path.decode()}")
        self._chunks: list[NDArray[np.int16]] = []
        self._phones: list[tuple[str, int]] = []
        self._words: list[tuple[int, int]] = []
        self._callback = _Callback(self._collect)  # kept alive: the library only has its address
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def _collect(self, samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                name = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._phones.append((name, event.sample))
            elif event.type == _EVENT_WORD:
                self._words.append((event.text_position - 1, event.sample))
            index += 1
        return 0

    def speak(
        self,
        text: str,
        voice: str,
        variant: str = "",
        words_per_minute: int = 170,
        pitch: int = 50,
        range_: int = 50,
    ) -> Speech:
        """Synthesise ``text``; ``pitch`` and ``range_`` are 0–99 as in espeak-ng.

        Raises:
            ValueError: espeak-ng has no such voice.
        """
        name = f"{voice}+{variant}" if variant else voice
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {name!r}")
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, range_)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks, self._phones, self._words = [], [], []
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _CHARACTERS, None, None)
        samples_T = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
        return Speech(samples_T, self.rate_hz, list(self._phones), list(self._words))

    def ipa(self, text: str, voice: str) -> str:
        """Return the pronunciation of ``text`` as one IPA string, with stress and length, without saying it.

        Raises:
            ValueError: espeak-ng has no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value is not None:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARACTERS, _IPA) or b"")
        return _LANGUAGE_SWITCH.sub("", b" ".join(clauses).decode("utf-8", "ignore")).strip()


@cache
def synthesizer() -> Synthesizer:
    """Return the synthesiser of this process."""
    return Synthesizer()
