"""One utterance as the members of a tar, and back.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shards.audio import Samples, decode, new_samples
from shards.schema import SAMPLE_RATE
from shards.text import TextNormaliser
from shards.text_rules import TextRules

AUDIO_EXTENSIONS = ("flac", "wav", "mp3", "ogg", "opus", "oga", "aiff", "aif", "au", "w64", "caf")


def members_to_write(key: str, audio_flac: bytes, info: Mapping[str, Any]) -> dict[str, Any]:
    """What webdataset's `TarWriter` takes; keys of the JSON are sorted, so that equal samples are equal bytes."""
    text = json.dumps(info, ensure_ascii=False, sort_keys=True)
    return {"__key__": key, "flac": audio_flac, "json": text.encode("utf-8")}


def info_of(
    *, text: str, raw_text: str, language: str, samples: int, speaker: str | None, source: str | None
) -> dict[str, Any]:
    """The JSON of a sample (DESIGN section 5)."""
    info: dict[str, Any] = {"text": text, "lang": language, "duration": round(samples / SAMPLE_RATE, 6)}
    optional = {"raw_text": raw_text if raw_text != text else None, "speaker": speaker, "source": source}
    return info | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True)
class Parsed:
    """What one sample holds."""

    info: dict[str, Any]
    text: str
    audio: Samples


class SampleParser:
    """From a sample's members to its text and audio.

    Our own shards have `flac` and `json` with the training text in `text`. Foreign ones have any audio, and their
    transcript in a field of `json` or in `txt`; their text is normalised here if `normaliser` is given.
    """

    def __init__(self, *, text_field: str | None = "text", normaliser: TextNormaliser | None = None) -> None:
        self._text_field = text_field
        self._normaliser = normaliser

    @classmethod
    def of(cls, language: str, reading: Mapping[str, Any]) -> SampleParser:
        """The parser for an index's `reading` entry (empty: our own shards)."""
        if not reading:
            return cls()
        normaliser = TextNormaliser(TextRules(**reading["text_rules"])) if reading["normalise"] else None
        return cls(text_field=reading["text_field"], normaliser=normaliser)

    def __call__(self, members: Mapping[str, memoryview], allocate: Callable[[int], Samples] = new_samples) -> Parsed:
        """Decode one sample, its audio in memory from `allocate`.

        Raises:
            ValueError: if a member or the text field is missing, or the JSON is broken.
            Rejected: if the transcript can not be normalised.
            UndecodableError: if the audio can not be decoded.
        """
        info = json.loads(bytes(members["json"])) if "json" in members else {}
        if not isinstance(info, dict):
            raise ValueError("its JSON is not an object")
        text = self.text(members, info)
        return Parsed(info, text, decode(self.audio_member(members), allocate))

    def text(self, members: Mapping[str, memoryview], info: Mapping[str, Any]) -> str:
        """The training text."""
        if self._text_field is None:
            if "txt" not in members:
                raise ValueError(f"it has no .txt member, only {', '.join(sorted(members))}")
            raw: Any = bytes(members["txt"]).decode("utf-8").strip()
        elif self._text_field not in info:
            raise ValueError(f"its JSON has no {self._text_field!r}, only {', '.join(sorted(info)) or 'nothing'}")
        else:
            raw = info[self._text_field]
        if not isinstance(raw, str):
            raise ValueError(f"its transcript is {type(raw).__name__}, expected a string")
        return self._normaliser(raw) if self._normaliser else raw

    def audio_member(self, members: Mapping[str, memoryview]) -> memoryview:
        """The encoded audio."""
        for extension in AUDIO_EXTENSIONS:
            if extension in members:
                return members[extension]
        raise ValueError(f"it has no audio member, only {', '.join(sorted(members)) or 'nothing'}")
