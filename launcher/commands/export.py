"""`mms-dist export`: write a run as folders that Hugging Face and ONNX programs load, and upload them."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.arguments import Languages, whole
from launcher.console import print_error
from mms_dist.publishing import CHECK_UTTERANCES

if TYPE_CHECKING:
    from rich.console import Console

    from mms_dist.publishing.export import ExportReport
    from shards.display.progress import WorkProgress

ACCEPTS_SETTINGS = True
DESCRIPTION = """\
Write a run's languages as a folder that Wav2Vec2ForCTC.from_pretrained(folder, target_lang=LANG) and
Wav2Vec2Processor.from_pretrained(folder, target_lang=LANG) load offline. The run's checkpoints are only read, so a run
in progress can be exported too. The folder is written completely or not at all. Its README.md is a model card for the
Hub: languages, licence of the base, error rates of exactly these weights from the last `mms-dist eval`, data, training
and limits, and a program that uses the folder.

With --onnx, each language becomes a folder of ONNX files (float32 and int8) that sherpa-onnx reads, without torch and
transformers. They are compared with torch on utterances of test or dev, and the card says how they do.

Languages in quarantine are listed but left out, unless --include-quarantined asks for their last good checkpoints.
Languages that have not taken a step are always left out. If training never improved on a random initialisation, the
last checkpoint is exported instead of the best."""

EPILOG = """\
examples:
  mms-dist export runs/mms-300m                               best checkpoints -> runs/mms-300m/export
  mms-dist export runs/mms-300m --to out --languages ron ita  two languages, to another folder
  mms-dist export runs/mms-1b-all --adapters-only --to out    9 MB per language, without the 4 GB base
  mms-dist export runs/mms-300m --push me/mms-ten --dry-run   what would go to huggingface.co/me/mms-ten
  mms-dist export runs/mms-300m --onnx --languages ron        ONNX files -> runs/mms-300m/onnx/ron
  mms-dist export runs/mms-300m --data.shards elsewhere       override any setting of the run's configuration

exit status: 0 done · 1 nothing exported, as no language is trained, or the upload failed · 2 a usage, configuration or
data error"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write trained languages as a folder that Hugging Face loads or as ONNX files, and push them to the Hub",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="output folder (default: RUN/export, or RUN/onnx)")
    parser.add_argument(
        "--languages", metavar="LANG", nargs="+", action=Languages, help="export only these (default: all)"
    )
    parser.add_argument(
        "--pointer",
        choices=("best", "last"),
        default="best",
        help="which checkpoint: best dev CER or newest (default: best, or last if there was no evaluation)",
    )
    parser.add_argument("--adapters-only", action="store_true", help="leave the base model out")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="type of the base's weights (default: unchanged); adapter files are always float32",
    )
    parser.add_argument("--base", metavar="FOLDER", help="base model, if it has moved since training")
    parser.add_argument(
        "--include-quarantined",
        action="store_true",
        help="also export languages in quarantine, from their last good checkpoints",
    )
    parser.add_argument(
        "--folder-per-language",
        action="store_true",
        help="a folder for each language, each complete in itself, instead of one for all",
    )
    parser.add_argument(
        "--onnx", action="store_true", help="ONNX files, in a folder for each language (pip install 'mms-dist[onnx]')"
    )
    parser.add_argument(
        "--check-utterances",
        metavar="N",
        type=whole,
        default=CHECK_UTTERANCES,
        help="compare ONNX files with torch on N utterances of each language; 0: do not compare (default: %(default)s)",
    )
    parser.add_argument(
        "--push",
        metavar="OWNER/NAME",
        help="upload to this repository on the Hub; folders of single languages go to OWNER/NAME-LANG",
    )
    parser.add_argument("--private", action="store_true", help="create repositories that only their owner sees")
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="the corpus's name in the model card, such as that on the Hub (default: the name of the shards' folder)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read and check everything, show the files and where they would go, but write and upload nothing",
    )
    parser.add_argument(
        "--force", action="store_true", help="move aside an existing output folder that is not an export"
    )


def run(args: argparse.Namespace) -> int:
    """Export the run, print what was written, and upload it on request."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.monitor.console import error_console, standard_console
    from mms_dist.publishing.hub_upload import check_login, check_repository
    from shards.display.progress import WorkProgress

    console = standard_console()
    if args.push:
        check_repository(args.push, args.languages or [None])
        if not args.dry_run:
            check_login()
    with WorkProgress(error_console(), 0, "languages") as work:
        work.describe(f"reading {args.run}")
        report = _export(args, work)
    _print(report, console)
    if args.dry_run:
        _print_plan(report, console, args.push)
        return 0
    console.print(f"wrote {report.bytes / 1e6:,.1f} MB to {report.folder}", soft_wrap=True, markup=False)
    if not args.adapters_only and not args.onnx:
        folder, language = report.folders[0].path, report.languages[0].language
        load = f'Wav2Vec2ForCTC.from_pretrained("{folder}", target_lang="{language}", ignore_mismatched_sizes=True)'
        console.print(load, soft_wrap=True, markup=False)
    return _push(report, console, args.push, private=args.private) if args.push else 0


def _export(args: argparse.Namespace, work: "WorkProgress") -> "ExportReport":
    from mms_dist.api import export

    def show(language: str, done: int, total: int) -> None:
        work.begin(total)
        work.describe(language)
        work.advance(int(done > 0))

    return export(
        args.run,
        args.to,
        languages=args.languages,
        pointer=args.pointer,
        base=args.base,
        dtype=args.dtype,
        adapters_only=args.adapters_only,
        folder_per_language=args.folder_per_language,
        onnx=args.onnx,
        check_utterances=args.check_utterances,
        repository=args.push,
        dataset=args.dataset,
        force=args.force,
        dry_run=args.dry_run,
        include_quarantined=args.include_quarantined,
        settings=args.settings,
        on_language=show,
    )


def _push(report: "ExportReport", console: "Console", repository: str, *, private: bool) -> int:
    from mms_dist.publishing.hub_upload import HubError, push

    try:
        for upload in push(report.folders, repository, private=private):  # the library shows its own progress
            console.print(f"uploaded {upload.folder.path} to {upload.url}", soft_wrap=True, markup=False)
    except HubError as error:
        print_error(f"error: {error}")
        return error.exit_code
    return 0


def _print_plan(report: "ExportReport", console: "Console", repository: str | None) -> None:
    """Show every file that would be written, with its size, and where the folders would go."""
    from rich.table import Table
    from rich.text import Text

    from mms_dist.publishing.export import repository_of

    for folder in report.folders:
        place = f" -> {repository_of(repository, folder.language)} on the Hub" if repository else ""
        table = Table("file", "MB", title=Text(f"{folder.path}{place}"), title_justify="left")
        for name, size in folder.files.items():
            table.add_row(Text(name), f"{size / 1e6:,.3f}")
        table.add_row("all", f"{folder.bytes / 1e6:,.3f}")
        console.print(table)
    pushed = ", nothing uploaded" if repository else ""
    text = f"dry run, nothing written{pushed}; the export would go to {report.folder}; sizes of weights are estimates"
    console.print(text, soft_wrap=True, markup=False)


def _print(report: "ExportReport", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from mms_dist.publishing.exported_language import format_error_rate

    table = Table("language", "checkpoint", "step", "CER (dev)", "WER (dev)", "tokens", "MB")
    for item in report.languages:
        table.add_row(
            Text(item.language),
            item.pointer,
            f"{item.step:,}",
            format_error_rate(item.cer),
            format_error_rate(item.wer),
            str(item.vocabulary_size),
            f"{item.bytes / 1e6:.1f}",
        )
    console.print(table)
    for item in report.languages:
        if item.quarantined:
            console.print(f"quarantined: {item.language}, {item.quarantined}", soft_wrap=True, markup=False)
    for language, reason in report.left_out.items():
        console.print(f"left out: {language}, {reason}", soft_wrap=True, markup=False)
    for damage in report.damaged:
        console.print(f"damaged, used an older checkpoint: {damage}", soft_wrap=True, markup=False)
    for note in report.notes:
        console.print(note, soft_wrap=True, markup=False)
