"""Measure how far the times of `mms-dist transcribe` are from a synthesiser's own: ``python -m tools.word_times``.

An adapter of the shipped base learns to read spoken numbers from espeak-ng, then transcribes numbers and voices that it
has not heard. espeak-ng says in which sample each word begins.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from num2words import num2words
from rapidfuzz.distance import Levenshtein

from launcher.cli import main as mms_dist
from mms_dist import transcribe
from mms_dist.transcription.transcript import Timed, Transcript
from tools.tiny_mms.espeak import synthesizer

LANGUAGE, VOICE = "ron", "ro"
TRAIN_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "f1", "f2", "f3")
TEST_VARIANTS = ("m7", "f4")
HIGHEST = 10_000
WITHIN_SECONDS = 0.1


@dataclass(frozen=True)
class SaidWord:
    """A word and when it was said, in seconds. It ends where the next one begins or a pause does."""

    text: str
    start: float
    end: float


def say(text: str, variant: str, generator: random.Random, path: Path) -> list[SaidWord]:
    """Write a recording of a text, and return its words."""
    rate = generator.randint(120, 190)
    said = synthesizer().speak(text, VOICE, variant, rate, generator.randint(30, 70), generator.randint(30, 70))
    soundfile.write(path, said.samples_T, said.rate_hz)
    starts = [sample for _, sample in said.words]
    last = [sample for phone, sample in said.phones if not phone][-1]
    spans = zip(text.split(), starts, [*starts[1:], last], strict=True)
    return [SaidWord(word, start / said.rate_hz, end / said.rate_hz) for word, start, end in spans]


def write_corpus(folder: Path, *, train: int, test: int, seed: int) -> dict[str, list[SaidWord]]:
    """Write recordings and a manifest; return the words of each test recording."""
    generator = random.Random(seed)
    numbers = generator.sample(range(HIGHEST), train + 40 + test)
    lines, truth = ["audio\ttext\tlang\tsplit"], {}
    (folder / "test").mkdir(parents=True)
    for place, number in enumerate(numbers):
        text = num2words(number, lang=VOICE)
        if place < train + 40:
            name, split = f"{place:04}.wav", "train" if place < train else "dev"
            say(text, generator.choice(TRAIN_VARIANTS), generator, folder / name)
            lines.append(f"{name}\t{text}\t{LANGUAGE}\t{split}")
        else:
            name = f"test/{place:04}.wav"
            truth[name] = say(text, generator.choice(TEST_VARIANTS), generator, folder / name)
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return truth


def train_adapter(folder: Path, *, steps: int) -> Path:
    """Build shards and train; return the folder of the run."""
    config = {
        "run": {"directory": str(folder / "run")},
        "model": {"base": "tiny-mms", "dtype": "float32"},
        "data": {"shards": str(folder / "shards"), "workers": 0},
        "adapter": {"dim": 64, "init": "identity"},
        "optim": {"lr": 5e-3, "warmup_steps": 20, "steps": steps, "batch_seconds": 8},
        "rounds": {"slots": 1},
        "evaluation": {"every_steps": steps},
        "stopping": {"patience": None},
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    for arguments in (
        ["shards", "build", str(folder / "corpus" / "manifest.tsv"), str(folder / "shards"), "--workers", "1"],
        ["train", "--config", str(folder / "config.yaml")],
    ):
        if status := mms_dist(arguments):
            raise SystemExit(status)
    return folder / "run"


def join(folder: Path, truth: dict[str, list[SaidWord]], *, seed: int) -> tuple[Path, list[SaidWord]]:
    """Join the test recordings with pauses of 0.3 to 1.5 s; return the long recording and its words."""
    generator = random.Random(seed)
    pieces, words, samples, rate = [], [], 0, 0
    for name, own in truth.items():
        audio, rate = soundfile.read(folder / name, dtype="int16")
        words += [SaidWord(word.text, word.start + samples / rate, word.end + samples / rate) for word in own]
        pause = np.zeros(int(generator.uniform(0.3, 1.5) * rate), np.int16)
        pieces += [audio, pause]
        samples += len(audio) + len(pause)
    soundfile.write(folder / "joined.wav", np.concatenate(pieces), rate)
    return folder / "joined.wav", words


def errors(said: Sequence[SaidWord], transcript: Transcript) -> Iterator[tuple[SaidWord, Timed]]:
    """Yield the words that were read correctly, as they were said and as they were written down."""
    heard = [word for segment in transcript.segments for word in segment.words]
    for block in Levenshtein.opcodes([word.text for word in said], [word.text for word in heard]):
        if block.tag == "equal":
            yield from zip(said[block.src_start : block.src_end], heard[block.dest_start : block.dest_end], strict=True)


def report(name: str, pairs: Sequence[tuple[SaidWord, Timed]], words: int) -> None:
    """Print what share of the times is right, and how far they are off."""
    print(f"{name}: {len(pairs)} of {words} words were read correctly")
    for end in ("start", "end"):
        off = np.array([getattr(heard, end) - getattr(said, end) for said, heard in pairs])
        share = np.mean(np.abs(off) <= WITHIN_SECONDS)
        print(f"  {end}: {share:.1%} within {WITHIN_SECONDS * 1000:.0f} ms; median {np.median(off) * 1000:+.0f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, transcribe and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="optimizer steps of the adapter (default: 500)")
    parser.add_argument("--train", type=int, default=300, help="training recordings (default: 300)")
    parser.add_argument("--test", type=int, default=80, help="test recordings (default: 80)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        truth = write_corpus(folder / "corpus", train=options.train, test=options.test, seed=options.seed)
        run = train_adapter(folder, steps=options.steps)
        alone = [folder / "corpus" / name for name in truth]
        joined, words = join(folder / "corpus", truth, seed=options.seed)
        *single, whole = transcribe(run, [*alone, joined], language=LANGUAGE)
        pairs = [pair for own, each in zip(truth.values(), single, strict=True) for pair in errors(own, each)]
        report("one by one", pairs, len(words))
        report(f"joined to {whole.seconds:.0f} s", list(errors(words, whole)), len(words))


if __name__ == "__main__":
    main()
