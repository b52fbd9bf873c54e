"""`mms-dist transcribe`: write down what is said in recordings."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import add_model_options, part
from launcher.commands.shards.options import TrainingLanguages
from launcher.console import print_error
from mms_dist.errors import DataError, ExitCode
from mms_dist.files import replace_text

if TYPE_CHECKING:
    from mms_dist.transcription.inputs import Item
    from mms_dist.transcription.searches import Searches

ACCEPTS_SETTINGS = True
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm")

LANGUAGES_SHOWN = 10

DESCRIPTION = """\
Transcribe recordings of any length, in all formats that `mms-dist shards build` reads. MODEL is the folder of a run, a
folder that `mms-dist export` wrote, or an MMS model with adapters (a folder or a Hub name). Recordings of several
languages are computed together. Long ones are cut into overlapping windows at quiet places, so memory does not depend
on their length; standard input alone is held whole.

Without --to, transcripts are printed. With it, each is written to FOLDER/NAME.FORMAT as soon as it is complete. The
same command again leaves out what is there, so a long list can be resumed."""

EPILOG = """\
examples:
  mms-dist transcribe runs/mms-300m talk.mp3 --lang ron                             print the text
  mms-dist transcribe runs/mms-300m talk.mp3 --lang ron --lm corpus/ --format srt   subtitles, with a language model
  mms-dist transcribe exported/ recordings/ --lang ron --to texts/ --format json --timestamps word
  mms-dist transcribe exported/ --list talks.tsv --to texts/                        each line: recording, tab, language
  mms-dist transcribe runs/mms-300m talk.mp3 --lang ron,hun                         choose the language
  mms-dist transcribe exported/ talk.mp3 --lang ron --calibrate-on corpus/ --format ctm   how sure each word is
  ffmpeg -i film.mkv -f wav - | mms-dist transcribe exported/ - --lang ron

exit status: 0 done · 1 a recording could not be transcribed, the others were · 2 something to fix, before any work"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "transcribe",
        help="write down what is said in recordings",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="run, export, or MMS model with adapters")
    parser.add_argument("audio", metavar="AUDIO", nargs="*", help="recordings, folders of them, or - (standard input)")
    parser.add_argument(
        "--list",
        dest="lists",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="text file with a recording in each line, and perhaps a tab and its language; without a header",
    )
    parser.add_argument(
        "--lang",
        metavar="LANG",
        nargs=1,
        action=TrainingLanguages,
        help="language of recordings that have none; of several, as in ron,hun, the likeliest is chosen for each",
    )
    parser.add_argument(
        "--calibrate-on",
        metavar="SHARDS",
        help="learn from the dev utterances of these shards how sure a word is (default: not), and which language of "
        "several it is (default: from those of the run)",
    )
    parser.add_argument(
        "--lm",
        metavar="FILE|FOLDER",
        help="decode with this language model, or that of each language (default: as the run's evaluation.decoder and "
        "evaluation.language_model say, which is greedy decoding if it has none); its weights are those that "
        "`mms-dist eval RUN --lm … --tune` found for the run or export, or else 0.5 and 1; --evaluation.lm_alpha and "
        "--evaluation.lm_beta overrule them",
    )
    parser.add_argument("--format", choices=FORMATS, default="txt", help="of the output (default: txt)")
    parser.add_argument(
        "--timestamps",
        choices=("segment", "word", "char"),
        default="segment",
        help="what json and tsv have times and confidences of (default: segment; srt, vtt and ctm need none)",
    )
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write a file for each recording (default: print)")
    parser.add_argument("--force", action="store_true", help="transcribe also what is in --to already")
    parser.add_argument(
        "--part",
        metavar="K/N",
        type=part,
        default=(0, 1),
        help="only every N-th recording, from number K, 0 to N - 1; `array` in a SLURM job array: the task's share",
    )
    add_model_options(parser, processes="that decode with --lm")


def run(args: argparse.Namespace) -> int:
    """Transcribe, print or write, and name what failed."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.decoding.search_pool import SearchPool
    from mms_dist.decoding.search_settings import DEFAULT_ALPHA, DEFAULT_BETA
    from mms_dist.emissions.acoustic_model import load_acoustic_model
    from mms_dist.run_directory.tuned_weights import TunedWeights
    from mms_dist.transcription.formats import FORMATS as WRITERS
    from mms_dist.transcription.formats import NAMES_ITS_RECORDING
    from mms_dist.transcription.inputs import check_named, check_outputs, find_items, languages_of, part_of
    from mms_dist.transcription.language_choice import learn_choices
    from mms_dist.transcription.searches import choose_searches, not_tuned
    from mms_dist.transcription.transcriber import Transcriber
    from mms_dist.transcription.word_confidence import learn_confidences
    from shards.display.current_work import at_work
    from shards.display.progress import AudioProgress
    from shards.display.terminal import make_console

    items = find_items(args.audio, args.lists, args.lang)
    if args.to is not None:
        check_outputs(items)
    elif len(items) > 1 and args.format not in ("txt", *NAMES_ITS_RECORDING):
        raise DataError(
            f"{len(items):,} recordings cannot be printed as {args.format}", fix="give a folder with --to FOLDER"
        )
    check_named(items)
    several = len(items) > 1
    number, parts = args.part
    share = part_of(items, number, parts)
    if not share:
        print_error(f"part {number}/{parts} has no recordings, as there are only {len(items):,}")
    items = _unwritten(share, args)
    if not items:
        return 0
    overrides = [*args.settings, *(["--run.device", args.device] if args.device else [])]
    tuned = TunedWeights.beside(Path(args.model))
    with at_work(f"loading {args.model}") as at:
        model = load_acoustic_model(args.model, languages_of(items), pointer=args.pointer, settings=overrides)
        searches = choose_searches(
            model,
            args.lm,
            tuned=tuned,
        )
        _check_used(args.settings, searches)
        at.describe("learning to tell the languages apart" if args.calibrate_on is None else "calibrating")
        choices = learn_choices(model, items, args.calibrate_on)
        confidences, notes = learn_confidences(model, searches, args.calibrate_on) if args.calibrate_on else ({}, [])
    given = {code for code, own in model.evaluations.items() if (own.lm_alpha, own.lm_beta) != (None, None)}
    if plain := [code for code in not_tuned(searches, tuned) if code not in given]:
        named = ", ".join(plain[:LANGUAGES_SHOWN]) + (", …" if len(plain) > LANGUAGES_SHOWN else "")
        weights = f"weights not tuned, alpha {DEFAULT_ALPHA:g} and beta {DEFAULT_BETA:g}"
        print_error(f"{named}: {weights} (`mms-dist eval RUN --lm … --tune`, then export, finds better)")
    for note in notes:
        print_error(note)
    failed = 0
    console = make_console(stderr=True)
    processes = args.processes if any(searches.values()) else 1
    with SearchPool(processes) as pool, AudioProgress(console, len(items)) as work:
        transcriber = Transcriber(
            model,
            searches,
            pool,
            choices,
            confidences=confidences,
            on_audio=work.advance,
            on_recording=work.opened,
        )
        for transcript in transcriber.run(items):
            work.done(failed=transcript.error is not None, seconds=transcript.seconds)
            if transcript.error is not None:
                failed += 1
                print_error(f"error: {transcript.name} was not transcribed: {transcript.error}")
                continue
            if transcript.probability is not None:
                print_error(f"{transcript.name}: {transcript.language} ({100 * transcript.probability:.0f} %)")
            text = WRITERS[args.format](transcript, args.timestamps)
            if args.to is None:
                line = f"{transcript.name}\t{transcript.text}\n"
                sys.stdout.write(line if several and args.format == "txt" else text)
                sys.stdout.flush()
            else:
                item = items[transcript.number]
                fix = "free space there, make the folder writable, or choose another --to"
                replace_text(args.to / f"{item.output_name}.{args.format}", text, fix=fix, error=DataError)
    return ExitCode.FAILED if failed else 0


def _check_used(settings: "Sequence[str]", searches: "Searches") -> None:
    """Raise if a language model is named in a setting, and nothing is decoded with it."""
    name = "--evaluation.language_model"
    if any(word.partition("=")[0] == name for word in settings) and not any(searches.values()):
        raise DataError(
            f"{name} is given, but evaluation.decoder is greedy",
            fix="use --lm, or add --evaluation.decoder beam_search",
        )


def _unwritten(items: "Sequence[Item]", args: argparse.Namespace) -> "list[Item]":
    """Leave out what was transcribed before."""
    if args.to is None or args.force:
        return list(items)
    left = [item for item in items if not (args.to / f"{item.output_name}.{args.format}").is_file()]
    if len(left) < len(items):
        print_error(
            f"{len(items) - len(left):,} of {len(items):,} recordings are already in {args.to}; --force transcribes "
            "them again, as with another --lm or --lang"
        )
    return left
