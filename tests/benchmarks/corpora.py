"""Shards to train on while measuring: training utterances only, so that neither side spends time on evaluation."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.build.plan import plan_languages
from shards.schema import SAMPLE_RATE
from shards.sources.registry import read_source
from tests.corpus import ALPHABETS, speak, toy_languages

DEMO = Path(__file__).resolve().parents[2] / "shards" / "demo"
COLUMNS = ("audio", "start", "end", "text", "lang", "split")


def mixed_shards(folder: Path, *, languages: int, utterances: int) -> Path:
    """The demo's recorded languages first, then toy ones: `utterances` training utterances of each."""
    recorded = _demo_rows(utterances)
    rows = [row for code in sorted(recorded)[:languages] for row in recorded[code]]
    rows += _toy_rows(folder, languages - min(languages, len(recorded)), utterances, seconds_median=2.0)
    return _build(folder, rows)


def toy_shards(folder: Path, *, languages: int, utterances: int, seconds_median: float = 2.0) -> Path:
    """Toy languages alone, lengths log-normal."""
    return _build(folder, _toy_rows(folder, languages, utterances, seconds_median=seconds_median))


def _demo_rows(utterances: int) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with open(DEMO / "manifest.tsv", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["split"] == "train" and len(rows[row["lang"]]) < utterances:
                rows[row["lang"]].append({name: row[name] for name in COLUMNS} | {"audio": str(DEMO / row["audio"])})
    return rows


def _toy_rows(folder: Path, languages: int, utterances: int, *, seconds_median: float) -> list[dict[str, str]]:
    rows = []
    for number, code in enumerate(toy_languages(languages)):
        random = np.random.default_rng(number)
        (folder / "audio" / code).mkdir(parents=True)
        for item in range(utterances):
            seconds = float(np.clip(random.lognormal(np.log(seconds_median), 0.5), 0.6, 8.0))
            letters = random.choice([*ALPHABETS[number % len(ALPHABETS)], " "], int(seconds / 0.12))
            text = " ".join("".join(letters).split()) or "a"
            path = folder / "audio" / code / f"{item}.wav"
            soundfile.write(path, speak(text, random), SAMPLE_RATE)
            rows.append(dict(zip(COLUMNS, (str(path), "", "", text, code, "train"), strict=True)))
    return rows


def _build(folder: Path, rows: list[dict[str, str]]) -> Path:
    manifest = folder / "manifest.tsv"
    lines = ["\t".join(COLUMNS), *("\t".join(row[name] for name in COLUMNS) for row in rows)]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    plans = plan_languages(read_source(manifest), dev_fraction=0.0, test_fraction=0.0)
    build_shards(plans, folder / "shards", BuildOptions(shard_utterances=100), workers=1)
    return folder / "shards"
