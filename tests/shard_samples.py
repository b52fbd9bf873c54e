"""Small corpora of synthetic sounds, and shards built from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.build.corpus import BuildReport, build_shards
from shards.build.language_build import BuildOptions
from shards.build.plan import plan_languages
from shards.build.plans import Plans
from shards.flags.names import FlagOptions
from shards.sources.registry import read_source

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "golf", "hotel", "india", "kilo", "lima", "mike", "oscar")


def sound(seconds: float, *, rate: int = 16_000, seed: int = 0) -> NDArray[np.float64]:
    """A noisy tone, different for each seed."""
    generator = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    tone = 0.2 * np.sin(2 * np.pi * generator.uniform(100, 400) * times)
    return tone + 0.01 * generator.standard_normal(len(times))


def sentence(seed: int, words: int = 4) -> str:
    """A sentence that no other seed below 12**4 has."""
    return " ".join(WORDS[seed // 12**place % 12] for place in range(words))


def write_corpus(
    folder: Path, *, languages: Sequence[str] = ("ron",), utterances: int = 20, extra: Sequence[dict[str, Any]] = ()
) -> Path:
    """Recordings of half a second to a second and their JSONL manifest; returns the manifest."""
    lines: list[dict[str, Any]] = []
    for language in languages:
        (folder / language).mkdir(parents=True, exist_ok=True)
        for number in range(utterances):
            name = f"{language}/clip{number:03d}.wav"
            soundfile.write(folder / name, sound(0.5 + number % 6 / 10, seed=number), 16_000)
            lines.append({"audio": name, "text": sentence(number, 3), "lang": language, "speaker": f"s{number % 3}"})
    manifest = folder / "corpus.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *extra]), encoding="utf-8")
    return manifest


def plans_of(manifest: Path, **options: Any) -> Plans:
    """Plans with a fifth of the sentences in dev and a tenth in test."""
    return plan_languages(read_source(manifest), **({"dev_fraction": 0.2, "test_fraction": 0.1} | options))


def build(
    manifest: Path, output: Path, *, workers: int = 1, shard_utterances: int = 5, flags: FlagOptions | None = None
) -> BuildReport:
    """Shards of a corpus, a few utterances in each."""
    options = BuildOptions(shard_utterances=shard_utterances, flags=flags or FlagOptions())
    return build_shards(plans_of(manifest), output, options, workers=workers)


def tree_sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden folders left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
