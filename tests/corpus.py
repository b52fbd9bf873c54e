"""A toy corpus: every character is a tone of its own, so that even an untrained base can hear it.

Made with the project's own builder, so tests train on real shards.
"""

import itertools
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.build.plan import plan_languages
from shards.languages import language_codes
from shards.schema import SAMPLE_RATE
from shards.sources.registry import read_source

TONE_SECONDS = 0.12
ALPHABETS = ["abcdef", "ghijklmno", "pqrs", "tuvwxyzab", "cdefghi", "jklmnop", "qrstuvw", "xyzabcdefg"]


def toy_languages(count: int) -> list[str]:
    """Codes `taa`, `tab`, … `tzz`, `uaa`, … as far as they are languages."""
    codes = map("".join, itertools.product(string.ascii_lowercase[19:], *[string.ascii_lowercase] * 2))
    return list(itertools.islice(filter(language_codes, codes), count))


def speak(text: str, random: np.random.Generator) -> np.ndarray:
    """Float32 audio of `text` at 16 kHz: a tone a character, silence for a space, a little noise over all."""
    time = np.arange(int(TONE_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    tones = [
        np.zeros_like(time) if letter == " " else 0.4 * np.sin(2 * np.pi * (200 + 90 * (ord(letter) - 96)) * time)
        for letter in text
    ]
    audio = np.concatenate([*tones, np.zeros(800)])
    return (audio + random.normal(0, 0.01, len(audio))).astype(np.float32)


def build_toy_shards(
    folder: Path,
    *,
    languages: int = 2,
    train: int = 16,
    dev: int = 4,
    test: int = 0,
    shard_utterances: int = 6,
    seed: int = 0,
    speakers: Sequence[str] = ("",),
) -> Path:
    """Shards of toy languages under `folder`/shards; each language has its own alphabet and number of utterances.

    `speakers` take turns.
    """
    lines = ["audio\ttext\tlang\tsplit\tspeaker"]
    for number, code in enumerate(toy_languages(languages)):
        random = np.random.default_rng([seed, number])
        alphabet = ALPHABETS[number % len(ALPHABETS)]
        for item in range(train + number + dev + test):
            words = [
                "".join(random.choice(list(alphabet), random.integers(2, 5))) for _ in range(random.integers(1, 4))
            ]
            text = " ".join([alphabet[: 2 + item % 3], *words])
            path = folder / "audio" / code / f"{item:04}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speak(text, random), SAMPLE_RATE)
            split = "train" if item < train + number else "dev" if item < train + number + dev else "test"
            lines.append(f"audio/{code}/{item:04}.wav\t{text}\t{code}\t{split}\t{speakers[item % len(speakers)]}")
    manifest = folder / "manifest.tsv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = folder / "shards"
    plans = plan_languages(read_source(manifest), dev_fraction=0.1, test_fraction=0.0)
    build_shards(plans, output, BuildOptions(shard_utterances=shard_utterances), workers=1)
    return output
