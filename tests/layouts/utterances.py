"""The utterances that every layout holds, and what shards built from a layout say of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import soundfile

from launcher.cli import main
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.shard_samples import sentence, sound


@dataclass(frozen=True)
class Spoken:
    """An utterance of a corpus."""

    key: str
    text: str
    speaker: str
    gender: str
    split: str
    language: str = "ron"
    number: int = 0

    def audio(self, kind: str = "WAV") -> bytes:
        """Its recording, of half a second and a little more."""
        target = io.BytesIO()
        soundfile.write(target, sound(0.5 + self.number % 5 / 10, seed=self.number), 16_000, format=kind)
        return target.getvalue()


def utterances(
    *, language: str = "ron", train: int = 6, dev: int = 2, test: int = 2, text: str | None = None
) -> list[Spoken]:
    """Utterances of three speakers; the last of train has a text that looks like a missing value."""
    splits = ["train"] * train + ["dev"] * dev + ["test"] * test
    found = []
    for number, split in enumerate(splits):
        words = (text or "null") if number == train - 1 else sentence(number, 3)
        gender = ("female", "male")[number % 3 % 2]
        key = f"{language}-{number:03d}"
        found.append(Spoken(key, words, f"s{number % 3}", gender, split, language, number))
    return found


@dataclass(frozen=True)
class Stored:
    """An utterance as shards have it."""

    language: str
    split: str
    text: str
    speaker: str | None
    tags: Mapping[str, str]
    seconds: float
    source: str


def build_stored(source: Path | str, output: Path, *options: str) -> list[Stored]:
    """Build shards of a source by the command, and return all that is in them, by split and text."""
    assert main(["shards", "build", str(source), str(output), "--workers", "1", *options]) == 0
    return stored(output)


def stored(output: Path) -> list[Stored]:
    """Return all utterances of shards, by language, split and text."""
    index = ShardIndex.load(str(output))
    reader = ShardReader(index)
    found = []
    for language in index.languages:
        for split in index.language(language).splits:
            for row in range(index.language(language).utterances(split)):
                read = reader.read(language, split, row)
                info = read.info
                found.append(
                    Stored(
                        language,
                        split,
                        info.get("raw_text", read.text),
                        info.get("speaker"),
                        info.get("tags", {}),
                        len(read.audio) / 16_000,
                        info["source"],
                    )
                )
    return sorted(found, key=lambda one: (one.language, one.split, one.text))


def summary(found: Iterable[Stored | Spoken]) -> list[tuple[str, str, str, str | None]]:
    """Language, split, text and speaker of every utterance, sorted."""
    return sorted((one.language, one.split, one.text, one.speaker or "") for one in found)
