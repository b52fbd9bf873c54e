"""`mms-dist eval`: compute error rates of a run's languages on a split."""

import argparse
import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import Languages, count
from launcher.console import print_error
from mms_dist.errors import ExitCode
from mms_dist.run_directory.paths import RunPaths

if TYPE_CHECKING:
    from mms_dist.evaluation.score_run import LanguageResult, RunScorer

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Decode a split with every language's checkpoint (and evaluation.decoder), and print character and word error rates
(jiwer) with 95 % bootstrap intervals. Checkpoints are verified before use and never changed, so a run in progress can
be scored too. The base and shards are those of RUN/config.yaml. Scores of all languages on a whole split are saved in
RUN/eval/SPLIT.json. Partial scores are only printed, unless --output names a file. Languages in quarantine are scored
with their last good checkpoints. They are marked in the table, and so are languages that have not taken a step."""

EPILOG = """\
examples:
  mms-dist eval runs/mms-300m                                    best checkpoint of every language, test split
  mms-dist eval runs/mms-300m --split dev --languages ron ita
  mms-dist eval runs/mms-300m --transcripts test.tsv             write references and hypotheses
  mms-dist eval runs/mms-300m --data.shards elsewhere/corpus     override any setting of the run's configuration
  mms-dist eval runs/mms-300m --evaluation.decoder greedy        choose how logits become text

exit status: 0 done · 1 a language could not be scored · 2 a usage, configuration or data error"""

EDITS_SHOWN = 3


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "eval",
        help="score a run's languages on the test or dev split",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    parser.add_argument(
        "--split", choices=("test", "dev", "train"), default="test", help="split to score (default: test)"
    )
    parser.add_argument(
        "--languages", metavar="LANG", nargs="+", action=Languages, help="score only these (default: all)"
    )
    parser.add_argument(
        "--pointer",
        choices=("best", "last"),
        default="best",
        help="which checkpoint: best dev CER or newest (default: best, or last if there was no evaluation)",
    )
    parser.add_argument("--max-utterances", metavar="N", type=count, help="utterances per language (default: all)")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: as in the run)")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write scores as JSON (default: RUN/eval/SPLIT.json if complete)"
    )
    parser.add_argument(
        "--transcripts",
        metavar="FILE",
        type=Path,
        help="write references and hypotheses as TSV; `row` is the utterance's row in its split (keys may repeat)",
    )


def run(args: argparse.Namespace) -> int:
    """Score the languages, print the table, and write the files."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.api import run_config
    from mms_dist.evaluation.score_run import RunScorer
    from mms_dist.monitor.console import standard_console

    overrides = [*args.settings, *(["--run.device", args.device] if args.device else [])]
    config = run_config(args.run, overrides)
    scorer = RunScorer(
        args.run,
        config,
        split=args.split,
        languages=args.languages,
        pointer=args.pointer,
        max_utterances=args.max_utterances,
    )
    console = standard_console()
    results = _score(scorer, console)
    is_whole = not (args.languages or args.max_utterances)
    output = args.output or (RunPaths(args.run).evaluations / f"{args.split}.json" if is_whole else None)
    if output and results:
        source = {"run": str(args.run), "split": args.split, "base": config.model.base, "shards": config.data.shards}
        _write(output, json.dumps(source | _as_json(results, scorer), indent=1, ensure_ascii=False) + "\n")
    if args.transcripts and results:
        _write(args.transcripts, _as_tsv(results))
    if results:
        _print(results, scorer, console, title=f"{args.run} on {args.split}")
        written = str(output or "partial, not written; --output FILE writes them")
        console.print(f"scores: {written}", soft_wrap=True, markup=False, highlight=False)
        if args.transcripts:
            console.print(f"transcripts: {args.transcripts}", soft_wrap=True, markup=False, highlight=False)
    for language, reason in scorer.failed.items():
        print_error(f"error: {language} was not scored: {reason}")
    return ExitCode.FAILED if scorer.failed else 0


def _score(scorer: "RunScorer", console: Any) -> "list[LanguageResult]":
    from rich.markup import escape
    from rich.progress import Progress

    results = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"scoring {escape(scorer.languages[0])}", total=len(scorer.languages))
        for result in scorer.results():
            results.append(result)
            remaining = scorer.languages[scorer.languages.index(result.language) + 1 :]
            progress.update(task, advance=1, description=f"scoring {escape((remaining or [result.language])[0])}")
    return results


def _print(results: "list[LanguageResult]", scorer: "RunScorer", console: Any, *, title: str) -> None:
    from mms_dist.evaluation.table import evaluation_table

    marks = {result.language: _mark(result) for result in results if result.quarantined or result.step == 0}
    console.print(evaluation_table({result.language: result.scores for result in results}, title=title, marks=marks))
    notes = (
        [f"no utterances in this split, left out: {', '.join(scorer.without_split)}"] if scorer.without_split else []
    )
    notes += [f"damaged, scored another checkpoint: {damage}" for damage in scorer.damaged]
    for result in results:
        if result.quarantined:
            notes.append(f"{result.language}: quarantined {result.quarantined.line}")
        if result.step == 0:
            notes.append(f"{result.language}: untrained, scored with its initial weights")
        if result.checkpoint != "best":
            notes.append(f"{result.language}: scored with its {result.checkpoint} checkpoint, step {result.step:,}")
        if result.transcription.damaged:
            damaged = result.transcription.damaged
            named = ", ".join(
                f"{sample.key} (row {sample.id.row}) in {sample.shard}" for sample in damaged[:EDITS_SHOWN]
            )
            more = " …" if len(damaged) > EDITS_SHOWN else ""
            notes.append(f"{result.language}: {len(damaged)} unreadable: {named}{more}")
    for note in notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)


def _mark(result: "LanguageResult") -> str:
    words = [*(["quarantined"] if result.quarantined else []), *(["untrained"] if result.step == 0 else [])]
    return ", ".join(words)


def _as_json(results: "list[LanguageResult]", scorer: "RunScorer") -> dict[str, Any]:
    from mms_dist.evaluation.table import evaluation_json

    values = evaluation_json({result.language: result.scores for result in results})
    for result in results:
        values["languages"][result.language] |= {
            "step": result.step,
            "checkpoint": result.checkpoint,
            "untrained": result.step == 0,
            "quarantined": None if result.quarantined is None else asdict(result.quarantined),
            "unreadable": [
                {"key": sample.key, "row": sample.id.row, "shard": sample.shard, "reason": sample.reason}
                for sample in result.transcription.damaged
            ],
        }
    return values | {
        "without_split": scorer.without_split,
        "failed": scorer.failed,
        "damaged": [str(damage) for damage in scorer.damaged],
    }


def _as_tsv(results: "list[LanguageResult]") -> str:
    lines = ["language\tkey\treference\thypothesis\trow"]
    for result in results:
        said = result.transcription
        for key, *texts, row in zip(said.keys, said.references, said.hypotheses, said.rows, strict=True):
            # Member names in tars from other tools can contain anything.
            cells = [" ".join(cell.splitlines()).replace("\t", " ") for cell in (key, *texts)]
            lines.append("\t".join((result.language, *cells, str(row))))
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a file atomically.

    Raises:
        DataError: the file cannot be written.
    """
    from mms_dist.errors import DataError

    staged = path.with_name(f".{path.name}.staging")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {problem.strerror}", fix="choose another path") from problem
