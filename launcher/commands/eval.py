"""`mms-dist eval`: error rates of a run's languages on a split."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import Languages, count

if TYPE_CHECKING:
    from mms_dist.training.score_run import LanguageResult, RunScorer

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Decode a split greedily with every language's checkpoint and print character and word error rates (jiwer), with the
95 % bootstrap intervals of both. Checkpoints are verified before use, and none is changed, so a run in progress can be
scored too; base and shards are those of RUN/config.yaml. The scores of all languages on a whole split are kept in
RUN/eval/SPLIT.json; those of a part are only printed, and written where --output says."""

EPILOG = """\
examples:
  mms-dist eval runs/mms-300m                                    every language's best on the test split
  mms-dist eval runs/mms-300m --split dev --languages ron ita
  mms-dist eval runs/mms-300m --transcripts test.tsv             what was said and what was decoded
  mms-dist eval runs/mms-300m --data.shards elsewhere/corpus     any setting of the run's configuration"""

EDITS_SHOWN = 3


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "eval",
        help="score a run's languages on the test or dev split",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of the run")
    parser.add_argument("--split", choices=("test", "dev", "train"), default="test", help="default: test")
    parser.add_argument("--languages", metavar="LANG", nargs="+", action=Languages, help="only these (default: all)")
    parser.add_argument(
        "--pointer",
        choices=("best", "last"),
        default="best",
        help="which checkpoint: of the best dev CER, or the newest (default: best; last where none was evaluated)",
    )
    parser.add_argument("--max-utterances", metavar="N", type=count, help="of each language (default: all)")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu or cuda:N (default: as in the run)")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="the scores as JSON (default: RUN/eval/SPLIT.json if of all)"
    )
    parser.add_argument("--transcripts", metavar="FILE", type=Path, help="references and hypotheses as TSV")


def run(args: argparse.Namespace) -> int:
    """Score, print the table, and write the files."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.config import load_config
    from mms_dist.errors import ConfigError
    from mms_dist.monitor.console import standard_console
    from mms_dist.training.score_run import RunScorer

    settings = args.run / "config.yaml"
    if not settings.is_file():
        raise ConfigError(f"found no {settings}; give the folder of a run, such as runs/demo")
    overrides = [*args.settings, *(["--run.device", args.device] if args.device else [])]
    config = load_config(settings, overrides)
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
    output = args.output or (args.run / "eval" / f"{args.split}.json" if is_whole else None)
    if output:
        source = {"run": str(args.run), "split": args.split, "base": config.model.base, "shards": config.data.shards}
        _write(output, json.dumps(source | _as_json(results, scorer), indent=1, ensure_ascii=False) + "\n")
    if args.transcripts:
        _write(args.transcripts, _as_tsv(results))
    _print(results, scorer, console, title=f"{args.run} on {args.split}")
    told = str(output or "not written, they are of a part of the run; --output FILE writes them")
    console.print(f"scores: {told}", soft_wrap=True, markup=False, highlight=False)
    if args.transcripts:
        console.print(f"transcripts: {args.transcripts}", soft_wrap=True, markup=False, highlight=False)
    return 0


def _score(scorer: "RunScorer", console: Any) -> "list[LanguageResult]":
    from rich.markup import escape
    from rich.progress import Progress

    results = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"scoring {escape(scorer.languages[0])}", total=len(scorer.languages))
        for result in scorer.results():
            results.append(result)
            following = scorer.languages[len(results) : len(results) + 1]
            progress.update(task, advance=1, description=f"scoring {escape((following or [result.language])[0])}")
    return results


def _print(results: "list[LanguageResult]", scorer: "RunScorer", console: Any, *, title: str) -> None:
    from mms_dist.evaluation.table import evaluation_table

    console.print(evaluation_table({result.language: result.scores for result in results}, title=title))
    notes = [f"no such utterances, left out: {', '.join(scorer.without_split)}"] if scorer.without_split else []
    notes += [f"damaged, another checkpoint was scored: {damage}" for damage in scorer.damaged]
    for result in results:
        if result.checkpoint != "best":
            notes.append(f"{result.language}: scored as of its {result.checkpoint} checkpoint, step {result.step:,}")
        if result.transcription.damaged:
            keys = result.transcription.damaged
            more = " …" if len(keys) > EDITS_SHOWN else ""
            notes.append(f"{result.language}: {len(keys)} unreadable: {', '.join(keys[:EDITS_SHOWN])}{more}")
    for note in notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)


def _as_json(results: "list[LanguageResult]", scorer: "RunScorer") -> dict[str, Any]:
    from mms_dist.evaluation.table import evaluation_json

    values = evaluation_json({result.language: result.scores for result in results})
    for result in results:
        values["languages"][result.language] |= {
            "step": result.step,
            "checkpoint": result.checkpoint,
            "unreadable": result.transcription.damaged,
        }
    return values | {"without_split": scorer.without_split, "damaged": [str(damage) for damage in scorer.damaged]}


def _as_tsv(results: "list[LanguageResult]") -> str:
    lines = ["language\tkey\treference\thypothesis"]
    for result in results:
        said = result.transcription
        for key, *texts in zip(said.keys, said.references, said.hypotheses, strict=True):
            lines.append("\t".join((result.language, key.partition("/")[2], *texts)))
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: it cannot be written there.
    """
    from mms_dist.errors import DataError

    staged = path.with_name(f".{path.name}.staging")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, path)
    except OSError as problem:
        raise DataError(f"cannot write {path}: {problem.strerror}; choose another place with its flag") from problem
