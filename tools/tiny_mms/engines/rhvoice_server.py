"""Serve RHVoice on standard input and output (see ``server.py``): ``rhvoice_server.py PREFIX``. Needs no package."""

import ctypes
import json
import struct
import sys
from pathlib import Path

_RateCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_SpeechCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint, ctypes.c_void_p)
_UNUSED = ("mark", "word_starts", "word_ends", "sentence_starts", "sentence_ends", "play_audio", "done")
_NUMBERS = ("rate", "pitch", "volume", "relative_rate", "relative_pitch", "relative_volume")


class _Callbacks(ctypes.Structure):
    _fields_ = [
        ("set_rate", _RateCallback),
        ("play", _SpeechCallback),
        *((name, ctypes.c_void_p) for name in _UNUSED),
    ]


class _Settings(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_char_p),
        ("config", ctypes.c_char_p),
        ("resources", ctypes.c_void_p),
        ("callbacks", _Callbacks),
        ("options", ctypes.c_uint),
    ]


class _Parameters(ctypes.Structure):
    _fields_ = [
        ("voice", ctypes.c_char_p),
        *((name, ctypes.c_double) for name in _NUMBERS),
        ("punctuation", ctypes.c_int),
        ("punctuation_list", ctypes.c_char_p),
        ("capitals", ctypes.c_int),
        ("flags", ctypes.c_int),
    ]


def main(prefix: Path) -> None:
    """Answer requests until standard input ends."""
    library = ctypes.CDLL(str(prefix / "usr/lib/x86_64-linux-gnu/libRHVoice.so.5"))
    library.RHVoice_new_tts_engine.restype = library.RHVoice_new_message.restype = ctypes.c_void_p
    library.RHVoice_new_message.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.POINTER(_Parameters),
        ctypes.c_void_p,
    ]
    library.RHVoice_speak.argtypes = library.RHVoice_delete_message.argtypes = [ctypes.c_void_p]
    said: list[bytes] = []
    rate = 0

    def set_rate(hertz: int, _: object) -> int:
        nonlocal rate
        rate = hertz
        return 1

    def play(samples: ctypes._Pointer, count: int, _: object) -> int:
        said.append(ctypes.string_at(samples, 2 * count))
        return 1

    callbacks = _Callbacks(_RateCallback(set_rate), _SpeechCallback(play))
    data, config = (str(prefix / path).encode() for path in ("usr/share/RHVoice", "etc/RHVoice"))
    engine = library.RHVoice_new_tts_engine(ctypes.byref(_Settings(data, config, None, callbacks, 0)))
    for line in sys.stdin:
        request = json.loads(line)
        said.clear()
        text = request["text"].encode()
        parameters = _Parameters(
            request["voice"].encode(), 0.0, 0.0, 0.0, request["rate"], request["pitch"], 1.0, 0, None, 0, 0
        )
        message = library.RHVoice_new_message(engine, text, len(text), 0, ctypes.byref(parameters), None)
        if message:
            library.RHVoice_speak(message)
            library.RHVoice_delete_message(message)
        samples = b"".join(said)
        sys.stdout.buffer.write(struct.pack("<ii", len(samples) // 2, rate) + samples)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
