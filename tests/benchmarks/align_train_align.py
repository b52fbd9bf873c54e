"""How far align - train - align gets a language that has no adapter: the commands of docs/data.md, and what they find.

    python -m tests.benchmarks.align_train_align SHARDS RUN FOLDER --language rus --adapter ita [--steps 300]

The training utterances of the language are joined to recordings of a few minutes, with their texts as lines. The
adapter of another language, from RUN, hears them; an adapter is trained on what was cut, and hears them again. The dev
and test utterances, which nobody trained on, show how well each of the two adapters aligns.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from mms_dist.emissions.acoustic_model import load_acoustic_model
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.benchmarks.alignment import measure_one, training_texts, unseen
from tests.benchmarks.alignment_figures import TABLE_HEAD
from tests.benchmarks.conditions import conditions

RECORDING_SECONDS = 180.0


def write_recordings(shards: Path, language: str, folder: Path) -> tuple[int, float]:
    """Join the training utterances to recordings with their texts; return how many, and their seconds."""
    index = ShardIndex.load(str(shards), [language])
    reader = ShardReader(index)
    order = np.random.default_rng(1).permutation(len(index.language(language).table("train")))
    folder.mkdir(parents=True)
    audio: list[np.ndarray] = []
    lines: list[str] = []
    written, total = 0, 0.0
    for number, row in enumerate(order.tolist(), start=1):
        utterance = reader.read(language, "train", row)
        audio.append(utterance.audio)
        lines.append(utterance.text)
        seconds = sum(map(len, audio)) / SAMPLE_RATE
        if seconds >= RECORDING_SECONDS or number == len(order):
            path = folder / f"{written:03}.flac"
            soundfile.write(path, np.concatenate(audio), SAMPLE_RATE)
            path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            audio, lines = [], []
            written, total = written + 1, total + seconds
    return written, total


def command(*words: object) -> None:
    """Run a command of mms-dist, and show its last line."""
    said = subprocess.run(
        [sys.executable, "-m", "launcher", *map(str, words)], capture_output=True, text=True, check=False
    )
    last = (said.stdout.strip().splitlines() or [""])[-1]
    print(f"mms-dist {' '.join(map(str, words))}\n    {last}", flush=True)
    if said.returncode:
        raise SystemExit(said.stderr)


def main() -> int:
    """Run the commands, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.align_train_align", description=__doc__)
    parser.add_argument("shards", type=Path, help="of the demo, or others with splits")
    parser.add_argument("run", type=Path, help="a run with the adapter of the other language")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--language", default="rus")
    parser.add_argument("--adapter", default="ita")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--orders", type=int, default=3)
    asked = parser.parse_args()
    for name, value in conditions(threads=int(os.environ.get("OMP_NUM_THREADS", "0"))).items():
        print(f"{name:<14} {value}")
    language, folder = asked.language, asked.folder
    talks = folder / "talks" / language
    count, seconds = write_recordings(asked.shards, language, talks)
    print(f"{count} recordings, {seconds / 60:.1f} minutes", flush=True)
    command("shards", "align", asked.run, folder / "talks", "--adapter", asked.adapter, "--to", folder / "cut-1")
    command("shards", "build", folder / "cut-1", folder / "corpus-1")
    first = folder / "first"
    command(
        "train", "--config", asked.run / "config.yaml", "--data.shards", folder / "corpus-1",
        "--run.directory", first, "--optim.steps", asked.steps, "--evaluation.every_steps", asked.steps,
    )  # fmt: skip
    command("shards", "align", first, folder / "talks", "--trust-text", "--to", folder / "cut-2")
    command("shards", "build", folder / "cut-2", folder / "corpus-2")
    print(TABLE_HEAD)
    for run, adapter in ((asked.run, asked.adapter), (first, None)):
        model = load_acoustic_model(str(run), [adapter or language])
        heard = unseen(model, asked.shards, language, adapter)
        others = training_texts(asked.shards, language)
        measure_one(model, language, heard, others, orders=asked.orders, adapter=adapter, trust_text=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
