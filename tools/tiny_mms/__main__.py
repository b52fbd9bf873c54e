"""Train the shipped base from scratch: texts, speech of many synthesisers, recordings, test sets, training, export.

Every command goes on where it was stopped: what is there already stays.
"""

import argparse
import shlex
import time
from pathlib import Path

from tools.tiny_mms.engines.espeak import EspeakEngine
from tools.tiny_mms.engines.festival import FestivalEngine
from tools.tiny_mms.engines.kokoro import KokoroEngine
from tools.tiny_mms.engines.rhvoice import RhvoiceEngine
from tools.tiny_mms.engines.speech import Engine
from tools.tiny_mms.languages import BASE_LANGUAGES, TRAINING_VARIANTS, UNSEEN_LANGUAGES
from tools.tiny_mms.mixture import SHARES
from tools.tiny_mms.network import SIZES
from tools.tiny_mms.processes import train_base
from tools.tiny_mms.recorded import make_recorded_parts, make_tests
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
    train.add_argument(
        "--shares",
        type=share,
        nargs="+",
        default=tuple(SHARES.items()),
        metavar="SOURCE=SHARE",
        help="of the audio (default: %(default)s)",
    )
    train.add_argument("--test-every", type=int, default=500, help="steps")
    train.add_argument("--batch-seconds", type=float, default=32.0, help="of a process")
    train.add_argument("--processes", type=int, default=2, help="of one thread; each draws its own batch of a step")
    return parser.parse_args(arguments)


def share(text: str) -> tuple[str, float]:
    """Read ``SOURCE=SHARE``."""
    source, _, number = text.partition("=")
    return source, float(number)


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
