"""Convert an utterance to tar members, and back.

Legend: `[S]` audio samples at 16 kHz.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shards.audio.codec import decode, new_samples
from shards.audio.recording import Samples
from shards.schema import SAMPLE_RATE
from shards.tars.members import audio_extension, info_in, transcript_in
from shards.text.normaliser import stored_normaliser


def members_to_write(key: str, audio_flac: bytes, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input for webdataset's `TarWriter`. JSON keys are sorted, so that equal samples give equal bytes."""
    text = json.dumps(info, ensure_ascii=False, sort_keys=True)
    return {"__key__": key, "flac": audio_flac, "json": text.encode("utf-8")}


def info_of(
    *,
    text: str,
    raw_text: str,
    language: str,
    samples: int,
    speaker: str | None,
    source: str | None,
    tags: Mapping[str, str] | None,
    align_score: float | None = None,
    align_model: str | None = None,
) -> dict[str, Any]:
    """Return the JSON of a sample (DESIGN section 5)."""
    info: dict[str, Any] = {"text": text, "lang": language, "duration": round(samples / SAMPLE_RATE, 6)}
    optional: dict[str, Any] = {
        "raw_text": raw_text if raw_text != text else None,
        "speaker": speaker,
        "source": source,
        "tags": dict(tags) if tags else None,
        "align_score": align_score,
        "align_model": align_model,
    }
    return info | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True)
class Parsed:
    """The content of one sample."""

    info: dict[str, Any]
    text: str
    audio: Samples


class SampleParser:
    """Parses a sample's members to its text and audio.

    Our own shards have `flac`, and `json` with the training text in `text`. Foreign shards have audio in any format,
    and the transcript in one of several `json` fields, or in `txt` (None in `text_fields`). Their text is normalised
    here if `normaliser` is given.
    """

    def __init__(
        self, *, text_fields: Sequence[str | None] = ("text",), normaliser: Callable[[str], str] | None = None
    ) -> None:
        self._text_fields = tuple(text_fields)
        self._normaliser = normaliser

    @classmethod
    def of(cls, language: str, reading: Mapping[str, Any]) -> SampleParser:
        """Create the parser for an index's `reading` entry (empty: our own shards)."""
        if not reading:
            return cls()
        normaliser = stored_normaliser(reading["text_rules"]) if reading["normalise"] else None
        return cls(text_fields=reading.get("text_fields", [reading["text_field"]]), normaliser=normaliser)

    def __call__(self, members: Mapping[str, memoryview], allocate: Callable[[int], Samples] = new_samples) -> Parsed:
        """Decode one sample, with its audio in memory from `allocate`.

        Raises:
            Rejected: a member or the text field is missing, the JSON is broken, or the transcript cannot be
                normalised.
            UndecodableError: the audio cannot be decoded.
        """
        info = info_in(members)
        text = self.normalise(transcript_in(members, info, self._text_fields))
        return Parsed(info, text, decode(members[audio_extension(members)], allocate))

    def text(self, members: Mapping[str, memoryview]) -> str:
        """Return the training text of one sample, without decoding its audio. Raises `Rejected` as above."""
        return self.normalise(transcript_in(members, info_in(members), self._text_fields))

    def transcript(self, members: Mapping[str, memoryview]) -> str:
        """Return the transcript as the source has it, before it is normalised.

        Raises:
            Rejected: a member or the text field is missing, or the JSON is broken.
        """
        info = info_in(members)
        raw = info.get("raw_text") if self._normaliser is None else None
        return raw if isinstance(raw, str) else transcript_in(members, info, self._text_fields)

    def normalise(self, raw: str) -> str:
        """Return the training text of a transcript.

        Raises:
            Rejected: the transcript cannot be normalised.
        """
        return self._normaliser(raw) if self._normaliser else raw
