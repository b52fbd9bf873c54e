"""Train the shipped base from scratch: texts, speech of many synthesisers, recordings, test sets, training, export.

Every command goes on where it was stopped: what is there already stays.
"""

import argparse
import json
import shlex
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from transformers import Wav2Vec2Model

from tools.tiny_mms.engines.espeak import EspeakEngine
from tools.tiny_mms.engines.festival import FestivalEngine
from tools.tiny_mms.engines.kokoro import KokoroEngine
from tools.tiny_mms.engines.rhvoice import RhvoiceEngine
from tools.tiny_mms.engines.speech import Engine
from tools.tiny_mms.export import export_base
from tools.tiny_mms.languages import BASE_LANGUAGES, TRAINING_VARIANTS, UNSEEN_LANGUAGES
from tools.tiny_mms.measure import phone_error_rate
from tools.tiny_mms.mixture import SHARES, Mixture, Parts
from tools.tiny_mms.network import SIZES, PhoneRecognizer
from tools.tiny_mms.parts import Utterance, read_part
from tools.tiny_mms.phones import PhoneInventory, decompose
from tools.tiny_mms.recorded import DEMO_DEV, UNSEEN_RECORDED, make_recorded_parts, make_tests
from tools.tiny_mms.recordings import SCRIPTS
from tools.tiny_mms.speak import make_part
from tools.tiny_mms.texts import (
    TextSource,
    babel_phrases,
    catalogue_phrases,
    dialogue_phrases,
    django_phrases,
    number_phrases,
    read_texts,
    write_texts,
)
from tools.tiny_mms.training import CHECKPOINT, Course, Trainer

_RARE_LETTER = 100
_PHONES = "phones.json"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_mms", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    texts = commands.add_parser("texts", help="gather phrases of all languages")
    texts.add_argument("--out", type=Path, required=True)
    texts.add_argument("--catalogues", type=Path, help="unpacked packages with gettext catalogues")
    texts.add_argument("--packages", type=Path, help="unpacked fillets-ng-data, for its dialogues")
    texts.add_argument("--languages", nargs="+", help="only these espeak-ng voices (default: all)")

    speak = commands.add_parser("speak", help="make parts of synthetic speech")
    speak.add_argument("source", choices=["espeak", "festival", "kokoro", "rhvoice"])
    speak.add_argument("--texts", type=Path, required=True)
    speak.add_argument("--parts", type=Path, required=True, help="folder of the parts")
    speak.add_argument("--numbers", type=int, nargs=2, default=(0, 0), metavar=("FIRST", "LAST"))
    speak.add_argument("--seconds", type=float, default=3600.0, help="of a part")
    speak.add_argument("--prefix", type=Path, help="unpacked packages of rhvoice or kokoro")
    speak.add_argument("--python", type=shlex.split, help="command that runs Python for rhvoice or kokoro")
    speak.add_argument("--seed", type=int, default=0)

    recorded = commands.add_parser("recorded", help="make the parts with real speech")
    recorded.add_argument("--packages", type=Path, required=True, help="unpacked fillets-ng-data… and klettres-data")
    recorded.add_argument("--parts", type=Path, required=True)

    tests = commands.add_parser("tests", help="make the test sets")
    tests.add_argument("--texts", type=Path, required=True)
    tests.add_argument("--tests", type=Path, required=True)
    tests.add_argument("--packages", type=Path, help="unpacked fillets-ng-data…")
    tests.add_argument("--demo", type=Path, help="manifest of the demo corpus")

    train = commands.add_parser("train", help="train, or go on training; export after every test")
    train.add_argument("--parts", type=Path, required=True)
    train.add_argument("--tests", type=Path, required=True)
    train.add_argument("--state", type=Path, required=True, help="folder of checkpoints and results")
    train.add_argument("--out", type=Path, required=True, help="folder for the base")
    train.add_argument("--size", choices=sorted(SIZES), default="256")
    train.add_argument("--start", type=Path, help="begin with the weights of this base of the same size")
    train.add_argument("--steps", type=int, default=1_000_000, help="number of the last step")
    train.add_argument("--decay-from", type=int, help="step from which the learning rate falls")
    train.add_argument("--test-every", type=int, default=500, help="steps")
    train.add_argument("--batch-seconds", type=float, default=64.0)
    train.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def gather_texts(parsed: argparse.Namespace) -> None:
    """Write the phrases of all languages."""
    sources: list[TextSource] = [django_phrases, babel_phrases, number_phrases]
    if parsed.packages:
        sources.append(dialogue_phrases(parsed.packages / SCRIPTS))
    if parsed.catalogues:
        sources.append(catalogue_phrases(parsed.catalogues))
    languages = [
        one for one in BASE_LANGUAGES + UNSEEN_LANGUAGES if not parsed.languages or one.voice in parsed.languages
    ]
    write_texts(parsed.out, languages, sources)


def engine_of(parsed: argparse.Namespace) -> Engine:
    """Start the synthesiser that ``parsed`` asks for."""
    match parsed.source:
        case "festival":
            return FestivalEngine()
        case "rhvoice":
            return RhvoiceEngine(parsed.prefix, parsed.python)
        case _:
            return KokoroEngine(parsed.prefix, parsed.python)


def make_speech(parsed: argparse.Namespace) -> None:
    """Make the parts of one source; those of espeak-ng are one language each."""
    first, last = parsed.numbers
    texts = read_texts(parsed.texts)
    if parsed.source == "espeak":
        engines: dict[str, Engine] = {
            f"espeak-{one.voice}": EspeakEngine((one,), TRAINING_VARIANTS)
            for one in BASE_LANGUAGES
            if one.voice in texts
        }
    else:
        engines = {parsed.source: engine_of(parsed)}
    for source, engine in engines.items():
        for number in range(first, last + 1):
            started = time.monotonic()
            make_part(parsed.parts, source, engine, texts, parsed.seconds, number, parsed.seed)
            print(f"{source}-{number:03d} after {time.monotonic() - started:.0f} s", flush=True)


def inventory_of(state: Path, parts: Parts) -> PhoneInventory:
    """Return the phone classes of this training, chosen once from the parts that were there when it began."""
    path = state / _PHONES
    if not path.exists():
        counts = Counter(
            letter
            for name in parts.complete()
            for one in parts[name]
            for ipa in one.phones
            for letter in decompose(ipa)
        )
        letters = sorted(letter for letter, count in counts.items() if count >= _RARE_LETTER)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(letters, ensure_ascii=False), encoding="utf-8")
    return PhoneInventory(json.loads(path.read_text(encoding="utf-8")))


def train_base(parsed: argparse.Namespace) -> None:
    """Train from the last checkpoint on, or from the beginning."""
    torch.set_num_threads(parsed.threads)
    torch.manual_seed(0)
    parts = Parts(parsed.parts)
    inventory = inventory_of(parsed.state, parts)
    sets: dict[str, list[Utterance]] = {}
    for folder in sorted(parsed.tests.iterdir()):
        name = folder.name if folder.name in (DEMO_DEV, UNSEEN_RECORDED) else "unseen"
        sets.setdefault(name, []).extend(read_part(folder))
    model = PhoneRecognizer(len(inventory), SIZES[parsed.size])
    model.quicken()
    mixture = Mixture(parts, inventory, SHARES, 0)
    course = Course(parsed.steps, batch_seconds=parsed.batch_seconds, decay_from=parsed.decay_from)
    if parsed.start:
        model.base.load_state_dict(Wav2Vec2Model.from_pretrained(parsed.start, dtype=torch.float32).state_dict())
        course = replace(course, aligned_steps=0, front_end_steps=0)
    trainer = Trainer(parsed.state, model, mixture, course)
    if (parsed.state / CHECKPOINT).exists():
        trainer.load()
        print(f"goes on at step {trainer.step}", flush=True)

    def report(trainer: Trainer) -> None:
        averaged = trainer.averaged()
        row = {"step": trainer.step, "hours": round(trainer.audio_seconds / 3600, 2)}
        row |= {name: round(phone_error_rate(averaged, some, inventory), 4) for name, some in sets.items()}
        print(json.dumps(row), flush=True)
        with (parsed.state / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        export_base(averaged, parsed.out)

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        trainer.train(parsed.test_every, report, stop.is_set)
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    parsed = parse_arguments(arguments)
    match parsed.command:
        case "texts":
            gather_texts(parsed)
        case "speak":
            make_speech(parsed)
        case "recorded":
            make_recorded_parts(parsed.parts, parsed.packages)
        case "tests":
            make_tests(parsed.tests, read_texts(parsed.texts), parsed.packages, parsed.demo)
        case "train":
            train_base(parsed)


if __name__ == "__main__":
    main()
