"""`mms-dist export`: write a run as a folder that Hugging Face loads."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.arguments import Languages

if TYPE_CHECKING:
    from mms_dist.publishing.export import ExportReport

DESCRIPTION = """\
Write a run's languages as a folder that Wav2Vec2ForCTC.from_pretrained(folder, target_lang=LANG) and
Wav2Vec2Processor.from_pretrained(folder, target_lang=LANG) load offline. The run's checkpoints are only read, so a run
in progress can be exported too. The folder is written completely or not at all.

Languages in quarantine are listed but left out, unless --include-quarantined asks for their last good checkpoints.
Languages that have not taken a step are always left out. If training never improved on a random initialisation, the
last checkpoint is exported instead of the best."""

EPILOG = """\
examples:
  mms-dist export runs/mms-300m                               best checkpoints -> runs/mms-300m/export
  mms-dist export runs/mms-300m --to out --languages ron ita  two languages, to another folder
  mms-dist export runs/mms-1b-all --adapters-only --to out    9 MB per language, without the 4 GB base

exit status: 0 done · 1 nothing exported: no language is trained · 2 a usage, configuration or data error"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "export",
        help="write trained languages as a folder that Hugging Face loads",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="output folder (default: RUN/export)")
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
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, but write nothing")
    parser.add_argument(
        "--force", action="store_true", help="move aside an existing output folder that is not an export"
    )


def run(args: argparse.Namespace) -> int:
    """Export the run, and print what was written."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.api import export

    report = export(
        args.run,
        args.to,
        languages=args.languages,
        pointer=args.pointer,
        base=args.base,
        dtype=args.dtype,
        adapters_only=args.adapters_only,
        force=args.force,
        dry_run=args.dry_run,
        include_quarantined=args.include_quarantined,
    )
    _print(report, adapters_only=args.adapters_only, dry_run=args.dry_run)
    return 0


def _print(report: "ExportReport", *, adapters_only: bool, dry_run: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from mms_dist.monitor.console import standard_console
    from mms_dist.publishing.exported_language import format_error_rate

    console = standard_console()
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
    if dry_run:
        console.print(f"dry run, nothing written; the export would go to {report.folder}", soft_wrap=True, markup=False)
        return
    console.print(f"wrote {report.bytes / 1e6:,.1f} MB to {report.folder}", soft_wrap=True, markup=False)
    if not adapters_only:
        language = report.languages[0].language
        load = (
            f'Wav2Vec2ForCTC.from_pretrained("{report.folder}", target_lang="{language}", ignore_mismatched_sizes=True)'
        )
        console.print(load, soft_wrap=True, markup=False)
