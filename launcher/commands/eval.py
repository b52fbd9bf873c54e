"""`mms-dist eval`: compute error rates of a run's languages on a split."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import Languages, add_model_options, count, one_of
from launcher.console import print_error, print_json
from launcher.scoring import score
from mms_dist.conditions.registry import ALL, CONDITIONS, TAGS
from mms_dist.errors import DataError, ExitCode, MmsDistError
from mms_dist.files import replace_text
from mms_dist.run_directory.paths import RunPaths

if TYPE_CHECKING:
    from mms_dist.evaluation.compared_model import ComparedModel
    from mms_dist.evaluation.comparison import Comparison
    from mms_dist.evaluation.metrics import Scores
    from mms_dist.evaluation.score_run import LanguageResult, SplitScorer
    from mms_dist.evaluation.scoring_options import ScoringOptions

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Decode a split with every language's checkpoint (and evaluation.decoder), and print character and word error rates
(jiwer) with 95 % bootstrap intervals. RUN may also be an export, the folder of another MMS model or hf:OWNER/NAME, with
--data.shards: then scores are only printed, or written to --output. Checkpoints are verified before use and never
changed, so a run in progress can be scored too. The base and shards are those of RUN/config.yaml. Scores of all
languages on a whole split are saved in RUN/eval/SPLIT.json and their transcripts in RUN/eval/SPLIT.tsv, from which
`mms-dist report --html` shows confusions and examples. Comparisons and conditions that were stored there before are
kept if the scores are still the same. Scores of some languages or utterances, with another --data.shards or
--model.base than in RUN/config.yaml, or without a language that these files have, are only printed, unless --output
names a file. Languages in quarantine are scored with their last good checkpoints. They are marked in the table, and so
are languages that have not taken a step.

Where a language fails is said too: speakers, durations, sources and tags, as the shards have them, with clearly more
errors than the rest of it, and what is most often confused. --by and --confusions show all of it, and
RUN/eval/SPLIT.json keeps it. Case and punctuation count as the transcripts have them, unless --ignore says otherwise.
Spaces do not count in the CER of languages whose words are not spaced. These rules are stored with the scores.

With --compare, another model is decoded on the same utterances by the same settings: a run, an export or an MMS model.
The difference of the error rates has a paired bootstrap interval and a p-value, for each language and their mean.

With --lm, every language is decoded by beam search with its own language model, and greedily from the same outputs for
comparison. The weights of the model are those that --tune found on dev for this run, or else those of the
configuration.

With --conditions, the split is scored again on changed audio, made on the fly: noise, reverberation, a telephone line
and others, each at one or more levels. What is done to an utterance depends on the utterance and the condition alone,
so models can be compared. A table shows the change from clean audio, with paired bootstrap intervals; `tags` adds rows
for the utterances of each tag that the shards have, such as numbers, mixed_script or accents."""

EPILOG = """\
examples:
  mms-dist eval runs/mms-300m                                    best checkpoint of every language, test split
  mms-dist eval runs/mms-300m --split dev --languages ron ita
  mms-dist eval runs/mms-300m --by speaker,duration --confusions tables of where it fails
  mms-dist eval runs/mms-300m --ignore case,punctuation          for transcripts that have them
  mms-dist eval runs/mms-300m --compare runs/mms-1b              and is the difference more than chance?
  mms-dist eval runs/mms-300m --compare hf:facebook/mms-1b-all
  mms-dist eval runs/mms-300m --transcripts test.tsv             also write references and hypotheses there
  mms-dist eval runs/mms-300m --data.shards other/ --output FILE on other shards; any setting can be overridden
  mms-dist eval exported/ --data.shards corpus/                  an export, or any MMS model with adapters
  mms-dist eval runs/mms-300m --lm corpus/ --tune                with the models of `mms-dist lm build corpus/`
  mms-dist eval runs/mms-300m --evaluation.decoder greedy        choose how logits become text
  mms-dist eval runs/mms-300m --conditions all                   every condition at its usual levels
  mms-dist eval runs/mms-300m --conditions noise:20,10,0 reverb tags --noise musan/noise

exit status: 0 done · 1 a language or a compared model could not be scored · 2 a usage, configuration or data error"""

EDITS_SHOWN = 3
LANGUAGES_SHOWN = 20
BY = ("speaker", "duration", "source", "tag")
IGNORABLE = ("case", "punctuation")


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "eval",
        help="score a run's languages on the test or dev split",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory; or an export, MMS model or hf:OWNER/NAME")
    parser.add_argument(
        "--split", choices=("test", "dev", "train"), default="test", help="split to score (default: test)"
    )
    parser.add_argument(
        "--languages", metavar="LANG", nargs="+", action=Languages, help="score only these (default: all)"
    )
    parser.add_argument("--max-utterances", metavar="N", type=count, help="utterances per language (default: all)")
    parser.add_argument(
        "--lm",
        metavar="FILE|FOLDER",
        help="decode with this language model, or with that of each language in a folder such as the shards",
    )
    parser.add_argument(
        "--tune", action="store_true", help="first find the language models' weights on dev, and keep them in RUN/eval"
    )
    parser.add_argument(
        "--by",
        metavar="KIND[,KIND]",
        type=one_of(BY),
        default=(),
        help=f"tables of the error rates of groups of utterances, by {', '.join(BY)}",
    )
    parser.add_argument("--confusions", action="store_true", help="a table of what is most often confused")
    parser.add_argument(
        "--ignore",
        metavar="WHAT[,WHAT]",
        type=one_of(IGNORABLE),
        default=(),
        help="differences that are not errors: case, punctuation (default: everything counts)",
    )
    parser.add_argument(
        "--compare",
        metavar="MODEL",
        action="append",
        default=[],
        help="score another model on the same utterances: a run, an export, an MMS model's folder, or hf:OWNER/NAME "
        "(repeat it for several)",
    )
    parser.add_argument(
        "--conditions",
        metavar="CONDITION",
        nargs="+",
        default=[],
        help=f"score under these as well: {', '.join(CONDITIONS)} (perhaps with levels, as in noise:20,10), {TAGS}, or "
        f"{ALL} of these",
    )
    parser.add_argument(
        "--noise",
        metavar="FOLDER",
        help="recordings that the condition noise takes (default: babble of other utterances of the split)",
    )
    add_model_options(parser, processes="of the beam search")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write scores as JSON (default: RUN/eval/SPLIT.json if complete, and of the run's shards and base)",
    )
    parser.add_argument(
        "--transcripts",
        metavar="FILE",
        type=Path,
        help="write references and hypotheses as TSV; `row` is the utterance's row in its split (keys may repeat)",
    )
    parser.add_argument("--json", action="store_true", help="print the scores as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Score the languages, print the table, and write the files."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.config.paths import literal
    from mms_dist.evaluation.compared_model import ComparedModel
    from mms_dist.evaluation.condition_scoring import Conditions
    from mms_dist.evaluation.kept_results import keep_results, only_scored_before
    from mms_dist.evaluation.scored_model import scored_elsewhere, scorer_of
    from mms_dist.evaluation.scoring_options import ScoringOptions
    from mms_dist.evaluation.stored_evaluation import scores_json, transcripts_tsv
    from mms_dist.language_model.finding import on_this_machine
    from mms_dist.monitor.console import standard_console
    from shards.display.current_work import at_work

    overrides = [*args.settings, *(["--run.device", args.device] if args.device else [])]
    if args.lm:
        place = literal(str(on_this_machine(args.lm)))
        overrides += ["--evaluation.decoder", "beam_search", "--evaluation.language_model", place]
    options = ScoringOptions(
        split=args.split,
        max_utterances=args.max_utterances,
        tune=args.tune,
        processes=args.processes,
        ignore=args.ignore,
        conditions=Conditions.of(args.conditions, args.noise),
    )
    with at_work(f"reading the checkpoints of {args.run} and the shards"):
        config, scorer = scorer_of(args.run, overrides, options, languages=args.languages, pointer=args.pointer)
        others = [
            ComparedModel(place, config, scorer.languages, options, pointer=args.pointer) for place in args.compare
        ]
    console = standard_console()
    results = score(scorer, options)
    comparisons = [_compare(results, other, options) for other in others if results]
    is_whole = RunPaths(args.run).config.is_file() and not (args.languages or args.max_utterances)
    kept = RunPaths(args.run).evaluations / f"{args.split}.json" if is_whole and not args.output else None
    notes: list[str] = []
    if kept and (elsewhere := scored_elsewhere(args.run, config)):
        kept, notes = None, [f"not written to {kept}: these scores are of {elsewhere}"]
    elif kept and (lost := only_scored_before(kept, scorer.failed)):
        why = f"it has scores of {', '.join(lost)}, which failed now; remove it to have it written without them"
        kept, notes = None, [f"not written to {kept}: {why}"]
    output = args.output or kept
    values = {
        "run": str(args.run),
        "split": args.split,
        "base": config.model.base,
        "shards": config.data.shards,
        **scores_json(results, scorer.decoder_of),
        **({"comparisons": [each.as_dict() for each in comparisons]} if comparisons else {}),
        **({"noise": options.conditions.noise_source} if options.conditions.noise_source else {}),
        "without_split": scorer.without_split,
        **({"not_in_shards": scorer.absent} if scorer.absent else {}),
        "failed": {language: str(problem) for language, problem in scorer.failed.items()},
        "damaged": [str(damage) for damage in scorer.damaged],
    }
    if kept and results:
        values, notes = keep_results(kept, values)
    if output and results:
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        replace_text(output, text, fix="choose another path", error=DataError)
    transcripts = [*([kept.with_suffix(".tsv")] if kept else []), *([args.transcripts] if args.transcripts else [])]
    if results:
        for path in transcripts:
            replace_text(path, transcripts_tsv(results), fix="choose another path", error=DataError)
    if args.json:
        print_json(values, indent=1)
    elif results:
        _print(results, scorer, console, title=f"{args.run} on {args.split}")
        _print_failures(results, args, console)
        _print_comparisons(comparisons, console)
        written = str(output or "not written; --output FILE writes them")
        console.print(f"scores: {written}", soft_wrap=True, markup=False, highlight=False)
        for path in transcripts:
            console.print(f"transcripts: {path}", soft_wrap=True, markup=False, highlight=False)
    for note in notes:
        print_error(note)
    for other in others:
        for language, problem in other.scorer.failed.items():
            print_error(f"error: {language} of {other.name} was not scored: {problem}")
    for language, problem in scorer.failed.items():
        print_error(f"error: {language} was not scored: {problem}")
    return ExitCode.FAILED if scorer.failed or any(other.scorer.failed for other in others) else 0


def _compare(results: "list[LanguageResult]", other: "ComparedModel", options: "ScoringOptions") -> "Comparison":
    """Score the other model, and compare it in the languages that both could be scored in."""
    from mms_dist.evaluation.comparison import Comparison, compare_conditions, compare_results

    ours = {result.language: result for result in results}
    theirs: dict[str, LanguageResult] = {}
    try:
        theirs = {result.language: result for result in score(other.scorer, options)}
    except MmsDistError as error:  # the scores of the run itself are worth keeping
        other.scorer.failed |= dict.fromkeys(other.scorer.languages, error.problem)
    common = [code for code in theirs if code in ours]
    under = {code: compare_conditions(ours[code], theirs[code]) for code in common}
    missing = {**other.left_out, **other.scorer.failed}
    return Comparison(
        other=other.name,
        kind=other.kind,
        languages={code: compare_results(ours[code], theirs[code]) for code in common},
        left_out={code: str(problem) for code, problem in missing.items()},
        note=other.note,
        conditions={
            label: {code: own[label] for code, own in under.items() if label in own}
            for label in dict.fromkeys(label for own in under.values() for label in own)
        },
    )


def _print_comparisons(comparisons: "list[Comparison]", console: Any) -> None:
    from mms_dist.evaluation.comparison_table import compared_conditions_table, comparison_table, verdict

    for found in comparisons:
        if found.languages:
            console.print(comparison_table(found))
        if found.conditions:
            console.print(compared_conditions_table(found))
        notes = [verdict(found), *([found.note] if found.note else [])]
        notes += [f"{code}: not compared, {reason}" for code, reason in found.left_out.items()]
        for note in notes:
            console.print(note, soft_wrap=True, markup=False, highlight=False)


def _print(results: "list[LanguageResult]", scorer: "SplitScorer", console: Any, *, title: str) -> None:
    from mms_dist.evaluation.condition_table import condition_table
    from mms_dist.evaluation.table import evaluation_table

    marks = {result.language: _mark(result) for result in results if result.quarantined or result.step == 0}
    scores = {result.language: result.scores for result in results}
    console.print(evaluation_table(scores, title=title, marks=marks, greedy=_greedy(results)))
    if any(result.conditions for result in results):
        own = {result.language: result.conditions for result in results}
        console.print(condition_table(scores, own, title=f"{title}, under conditions"))
    notes = (
        [f"no utterances in this split, left out: {', '.join(scorer.without_split)}"] if scorer.without_split else []
    )
    if scorer.absent:
        more = f" and {len(scorer.absent) - LANGUAGES_SHOWN:,} more" if len(scorer.absent) > LANGUAGES_SHOWN else ""
        notes.append(f"not in the shards, left out: {', '.join(scorer.absent[:LANGUAGES_SHOWN])}{more}")
    notes += [f"damaged, scored another checkpoint: {damage}" for damage in scorer.damaged]
    for result in results:
        if result.quarantined:
            notes.append(f"{result.language}: quarantined {result.quarantined.line}")
        if result.step == 0:
            notes.append(f"{result.language}: untrained, scored with its initial weights")
        if result.checkpoint != "best" and result.step is not None:
            notes.append(f"{result.language}: scored with its {result.checkpoint} checkpoint, step {result.step:,}")
        if result.transcription.damaged:
            damaged = result.transcription.damaged
            named = ", ".join(
                f"{sample.key} (row {sample.id.row}) in {sample.shard}" for sample in damaged[:EDITS_SHOWN]
            )
            more = " …" if len(damaged) > EDITS_SHOWN else ""
            notes.append(f"{result.language}: {len(damaged)} unreadable: {named}{more}")
        notes += _about_search(result)
    for note in notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)


def _print_failures(results: "list[LanguageResult]", args: argparse.Namespace, console: Any) -> None:
    """Say how the languages were scored and where they fail; with tables of what the user asked for."""
    from mms_dist.evaluation.failing_groups import Grouped
    from mms_dist.evaluation.failure_tables import confusion_lines, confusion_table, group_lines, group_table
    from mms_dist.evaluation.scoring_rules import scoring_text

    worst_first = sorted(results, key=lambda result: (-result.scores.cer, result.language))
    groups = {result.language: Grouped(result.scores, result.groups) for result in worst_first}
    confused = {result.language: result.confusions for result in worst_first}
    rules = {result.language: result.rules for result in results}
    written = {result.language: result.written for result in results}
    for line in (scoring_text(rules, written), *group_lines(groups), *confusion_lines(confused)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    for kind in args.by:
        table = group_table(groups, kind)
        console.print(f"by {kind}: no language has several in its shards" if table is None else table)
    if args.confusions:
        console.print(confusion_table(confused))


def _about_search(result: "LanguageResult") -> list[str]:
    """Say which weights the language model had."""
    searched = result.searched
    if searched is None or searched.settings.language_model is None:
        return []
    weights = f"alpha {searched.settings.alpha:g}, beta {searched.settings.beta:g}"
    how = (
        f"tuned on {searched.tuned.utterances:,} dev utterances" if searched.tuned else "not tuned, --tune finds better"
    )
    return [f"{result.language}: language model with {weights} ({how})", *([searched.note] if searched.note else [])]


def _greedy(results: "list[LanguageResult]") -> "dict[str, Scores]":
    return {result.language: result.searched.greedy_scores for result in results if result.searched}


def _mark(result: "LanguageResult") -> str:
    words = [*(["quarantined"] if result.quarantined else []), *(["untrained"] if result.step == 0 else [])]
    return ", ".join(words)
