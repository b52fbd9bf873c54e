"""`mms-dist export`: from a run to a folder that Hugging Face loads."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.arguments import Languages

if TYPE_CHECKING:
    from mms_dist.checkpoint.export import ExportReport

DESCRIPTION = """\
Write a run's languages as a folder that Wav2Vec2ForCTC.from_pretrained(folder, target_lang=LANG) and
Wav2Vec2Processor.from_pretrained(folder, target_lang=LANG) load without a network. The run's checkpoints are
only read, so a run in progress can be exported too. The folder appears complete or not at all.

A language that is in quarantine is left out and named, unless --include-quarantined asks for its last good checkpoint.
One that has not taken a step is always left out, and where training has never improved on a random start, its last
checkpoint takes the place of the best."""

EPILOG = """\
examples:
  mms-dist export runs/mms-300m                               every language's best -> runs/mms-300m/export
  mms-dist export runs/mms-300m --to out --languages ron ita  two of them, elsewhere
  mms-dist export runs/mms-1b-all --adapters-only --to out    9 MB a language instead of 4 GB

exit status: 0 done · 1 nothing exported: no language is trained · 2 something to fix"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "export",
        help="write trained languages as a folder that Hugging Face loads",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of the run")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="where to (default: RUN/export)")
    parser.add_argument("--languages", metavar="LANG", nargs="+", action=Languages, help="only these (default: all)")
    parser.add_argument(
        "--pointer",
        choices=("best", "last"),
        default="best",
        help="which checkpoint: of the best dev CER, or the newest (default: best; last where none was evaluated)",
    )
    parser.add_argument("--adapters-only", action="store_true", help="leave the base model out")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="of the base's weights (default: as they are); adapter files are always float32",
    )
    parser.add_argument("--base", metavar="FOLDER", help="the base, if it has moved since the training")
    parser.add_argument(
        "--include-quarantined",
        action="store_true",
        help="export languages in quarantine too, as of their last good checkpoints",
    )
    parser.add_argument("--dry-run", action="store_true", help="read and check everything, write nothing")
    parser.add_argument("--force", action="store_true", help="put a folder that is in the way aside")


def run(args: argparse.Namespace) -> int:
    """Export, and print what was written."""
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

    from mms_dist.checkpoint.model_card import percent
    from mms_dist.monitor.console import standard_console

    console = standard_console()
    table = Table("language", "checkpoint", "step", "CER (dev)", "WER (dev)", "tokens", "MB")
    for item in report.languages:
        table.add_row(
            Text(item.language),
            item.pointer,
            f"{item.step:,}",
            percent(item.cer),
            percent(item.wer),
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
        console.print(f"damaged, an older checkpoint was used: {damage}", soft_wrap=True, markup=False)
    if dry_run:
        console.print(f"nothing was written; the export would go to {report.folder}", soft_wrap=True, markup=False)
        return
    console.print(f"wrote {report.bytes / 1e6:,.1f} MB to {report.folder}", soft_wrap=True, markup=False)
    if not adapters_only:
        language = report.languages[0].language
        load = (
            f'Wav2Vec2ForCTC.from_pretrained("{report.folder}", target_lang="{language}", ignore_mismatched_sizes=True)'
        )
        console.print(load, soft_wrap=True, markup=False)
