"""The utterances of a language that passed all checks that do not need the audio."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shards.drops import Drops
from shards.sources.audio_reference import AudioReference
from shards.sources.rows import SourceRow
from shards.splits import SENTENCE, SPLITS
from shards.text_rules import TextRules

_SLUG_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An utterance that passed all checks that do not need the audio."""

    key: str
    audio: AudioReference
    name: str
    text: str
    raw_text: str
    speaker: str | None
    source: str | None
    start_seconds: float | None
    end_seconds: float | None
    tags: Mapping[str, str] | None = None
    part: str | None = None
    channel: int | None = None
    align_score: float | None = None
    align_model: str | None = None

    @property
    def where(self) -> str:
        """For messages: the recording, and the channel and segment if there is one."""
        name = self.name if self.channel is None else f"{self.name} (channel {self.channel})"
        if self.start_seconds is None and self.end_seconds is None:
            return name
        return f"{name} [{self.start_seconds or 0} … {'end' if self.end_seconds is None else self.end_seconds} s]"


@dataclass(slots=True)
class LanguagePlan:
    """The utterances to decode for one language, in the order of the shards. `split_by` says what splits them."""

    language: str
    rules: TextRules
    candidates: dict[str, list[Candidate]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    drops: Drops = field(default_factory=Drops)
    split_by: str = SENTENCE

    @property
    def total(self) -> int:
        """Number of utterances in all splits."""
        return sum(map(len, self.candidates.values()))


def utterance_key(row: SourceRow) -> str:
    """Return a key that does not change when the source grows, and is a valid file name on every system.

    It is the recording's name, for readability, and a hash of recording and segment, for uniqueness. It has no dot,
    since webdataset ends the key there, and no capitals, since some file systems ignore case.
    """
    plain = unicodedata.normalize("NFKD", Path(row.name).stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_SLUG_CHARACTERS] or "utterance"
    channel = "" if row.channel is None else f"|channel {row.channel}"
    return f"{slug}-{digest_of(f'{row.language}|{row.name}|{row.start_seconds}|{row.end_seconds}{channel}')}"


def digest_of(text: str) -> str:
    """Hash a name to 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
