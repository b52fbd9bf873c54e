"""`mms-dist shards align`: cut long recordings with their texts into utterances, or check transcripts of shards."""

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import add_model_options, count, part, positive
from launcher.commands.shards.align_check import run_check
from launcher.commands.shards.options import (
    TrainingLanguages,
    add_command,
    add_languages,
    add_text_rules,
    rule_options,
)
from launcher.console import print_error
from mms_dist.errors import DataError, ExitCode

if TYPE_CHECKING:
    from mms_dist.alignment.inputs import AlignmentItem
    from mms_dist.alignment.recording_alignment import RecordingAlignment
    from mms_dist.emissions.acoustic_model import AcousticModel

EPILOG = """\
examples:
  mms-dist shards align exported/ talks/ --to cut/                    talks/ron/1.mp3 with talks/ron/1.txt, and so on
  mms-dist shards align runs/mms-300m book.mp3 --lang ron --to cut/   with book.txt, .srt or .vtt beside it
  mms-dist shards align exported/ rough.tsv --to cut/                 a manifest: its start and end are rough times
  mms-dist shards align exported/ talks/ --adapter ron --to cut/       hear with the adapter of another language
  mms-dist shards build cut/ corpus/ --min-score -2                   what align wrote is a source of shards build
  mms-dist shards align runs/mms-300m corpus/ --check                 find wrong transcripts in shards

MODEL is the folder of a run, a folder that `mms-dist export` wrote, or an MMS model with adapters (a folder or a Hub
name). SOURCE is a recording, a folder of recordings, or a manifest (.tsv, .csv, .jsonl, .parquet) with audio, text and
lang, and perhaps start and end. The language of a recording is --lang, or the name of the nearest folder above it.

The text of talk.mp3 is talk.srt, talk.vtt or talk.txt beside it. In a .txt, every line may begin with its start and end
in seconds, separated by tabs. Such times, and those of subtitles and manifests, may be wrong by up to 30 s. Text that
was not said is left out, up to about five minutes at once, and so is speech that is not in the text. Both end an
utterance, and so do words that cannot be read, such as numbers.

Each recording becomes FOLDER/NAME.aligned.jsonl: audio, start, end, text, lang, align_score and align_model of its
utterances. The same command again leaves out what is there. Memory does not depend on the lengths of recordings: beside
the model and its passes, a search takes less than 64 MiB. The outputs of the model are in the temporary folder (TMPDIR)
meanwhile: for two hours and 40 characters 58 MB.

--check scores every utterance of shards, shows how the scores are spread and lists the worst, with what the model
hears. Scores are stored in the samples (align_score, align_model), in the sample table and in the index; tars made by
other tools stay as they are. An utterance is suspicious if its score is far below those of its split. Training
leaves out those below data.min_align_score.

exit status: 0 done · 1 a recording could not be aligned, the others were · 2 something to fix, before any work"""


_FEW = 0.5
"""Share of the words. If less is found, the model may hear too little, or the text belongs to something else."""
_HINT = "less than half of the text was found; if it is the right text, the adapter hears little: try --trust-text"


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands, "align", help="cut long recordings with their texts into utterances, at silences", epilog=EPILOG
    )
    parser.add_argument("model", metavar="MODEL", help="run, export, or MMS model with adapters")
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="recordings, folders of them, or manifests")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="folder for the manifests of the utterances")
    parser.add_argument(
        "--check", action="store_true", help="SOURCE is SHARDS: score the transcripts of all utterances there"
    )
    add_languages(parser, "language of recordings (default: the folder above each, or its row); with --check, several")
    parser.add_argument(
        "--adapter",
        metavar="LANG",
        nargs=1,
        action=TrainingLanguages,
        default=[],
        help="let the adapter of this language hear all recordings; letters that it lacks are romanised (needs pip "
        "install 'mms-dist[romanise]')",
    )
    parser.add_argument(
        "--trust-text",
        action="store_true",
        help="take it that nearly all of the text was said, for adapters that hear little; so it is with --adapter",
    )
    parser.add_argument(
        "--min-seconds", type=positive, default=1.0, metavar="S", help="shortest utterance (default: 1)"
    )
    parser.add_argument(
        "--max-seconds", type=positive, default=20.0, metavar="S", help="longest utterance (default: 20)"
    )
    add_text_rules(parser)
    parser.add_argument(
        "--worst", metavar="N", type=count, default=20, help="with --check: how many of the worst to list (default: 20)"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --check: show the scores, and store nothing")
    parser.add_argument("--json", action="store_true", help="with --check: print JSON")
    parser.add_argument("--force", action="store_true", help="align also what is in --to already")
    parser.add_argument(
        "--part",
        metavar="K/N",
        type=part,
        default=(0, 1),
        help="only every N-th recording or language, from number K, 0 to N - 1; `array` in a SLURM job array: the "
        "task's share",
    )
    add_model_options(parser, processes="that search for the texts")
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if args.check:
        return run_check(args)
    from mms_dist.alignment.aligner import Aligner, write_manifest
    from mms_dist.alignment.inputs import find_items
    from mms_dist.alignment.recording_alignment import Limits
    from mms_dist.decoding.search_pool import SearchPool
    from mms_dist.emissions.acoustic_model import load_acoustic_model
    from mms_dist.files import replace_text
    from mms_dist.monitor.formatting import duration
    from shards.display.current_work import at_work
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.sources.aligned import MARKER

    if len(args.languages) > 1:
        raise DataError(
            f"--lang names {len(args.languages)} languages, expected that of all recordings",
            fix="leave it out, and name the folders of recordings after their languages",
        )
    if args.to is None:
        raise DataError("there is no folder for the utterances", fix="give one with --to FOLDER")
    if args.min_seconds > args.max_seconds:
        raise DataError(f"--min-seconds {args.min_seconds} is above --max-seconds {args.max_seconds}")
    language = args.languages[0] if args.languages else None
    adapter = args.adapter[0] if args.adapter else None
    share = find_items(args.sources, language)[args.part[0] :: args.part[1]]
    written = [] if args.force else [item for item in share if item.is_older_than(args.to / item.output_name)]
    items = [item for item in share if item not in written]
    if written:
        print_error(
            f"{len(written):,} of {len(share):,} recordings are already in {args.to}; changed options are for the "
            "others, --force aligns all again"
        )
    heard = [adapter] if adapter else sorted({item.language for item in share})
    overrides = ["--run.device", args.device] if args.device else []
    with at_work(f"loading {args.model}"):
        model = load_acoustic_model(args.model, heard, pointer=args.pointer, settings=overrides)
    _check_same_models(args.to, written, model, adapter)
    if not items:
        return 0
    fix = "free space there, make the folder writable, or choose another --to"
    replace_text(args.to / MARKER, "{}\n", fix=fix, error=DataError)
    failed = 0
    console = make_console()
    heard_seconds = 0.0
    processes = min(args.processes, len(items))
    with SearchPool(processes) as pool, WorkProgress(console, len(items), "recordings") as work:

        def show(seconds: float) -> None:
            nonlocal heard_seconds
            heard_seconds += seconds
            work.describe(f"{duration(heard_seconds)} of audio")

        aligner = Aligner(
            model,
            pool,
            adapter=adapter,
            trust_text=args.trust_text,
            limits=Limits(args.min_seconds, args.max_seconds),
            text_rules=rule_options(args),
            on_audio=show,
        )
        for done in aligner.run(items):
            work.advance()
            if done.found is None:
                failed += 1
                print_error(f"error: {done.item.audio} was not aligned: {done.problem}")
                continue
            identity = model.identity(adapter or done.item.language)
            write_manifest(args.to / done.item.output_name, done.item, done.found, identity)
            say(console, _line(done.item.name, done.found))
            if not args.trust_text and len(done.found.said) < _FEW * done.found.words:
                say(console, f"  {_HINT}")
    if failed < len(items):
        say(console, f"build shards of them: mms-dist shards build {args.to} SHARDS")
    return ExitCode.FAILED if failed else 0


def _check_same_models(
    folder: Path, written: "Sequence[AlignmentItem]", model: "AcousticModel", adapter: str | None
) -> None:
    """Check that what is there was aligned by the same model: scores of others cannot be compared."""
    from mms_dist.alignment.aligner import model_of

    for item in written:
        heard = adapter or item.language
        if heard not in model.vocabularies:
            continue
        before, now = model_of(folder / item.output_name), model.identity(heard)
        if before not in (None, now):
            raise DataError(
                f"{folder / item.output_name} was aligned by another model ({before}, now {now})",
                fix="align everything again with --force, or choose another --to",
            )


def _line(name: str, found: "RecordingAlignment") -> str:
    from mms_dist.monitor.formatting import duration
    from shards.wording import counted

    used = sum(utterance.end - utterance.start for utterance in found.utterances)
    line = (
        f"{name}: {counted(len(found.utterances), 'utterance')}, {duration(used)} of {duration(found.seconds)}; "
        f"{len(found.said):,} of {counted(found.words, 'word')} found"
    )
    if found.unreadable:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(found.unreadable.items()))
        line += f"; words that cannot be read: {reasons}"
    if found.utterances:
        line += f"; median score {statistics.median(utterance.score for utterance in found.utterances):.2f}"
    return line
