"""`mms-dist shards align --check`: score the transcripts of shards."""

import argparse
from typing import TYPE_CHECKING, Any

from launcher.console import print_json
from mms_dist.errors import DataError

if TYPE_CHECKING:
    from mms_dist.alignment.check import Check


def run_check(args: argparse.Namespace) -> int:
    """Score every utterance, show the scores, and store them; return the exit status."""
    from mms_dist.alignment.check import check_language
    from mms_dist.emissions.acoustic_model import load_acoustic_model
    from shards.build.store_scores import check_storable, store_scores
    from shards.display.current_work import at_work
    from shards.display.progress import WorkProgress
    from shards.display.score_report import WorstTranscript, print_scores
    from shards.display.terminal import make_console, say
    from shards.index import ShardIndex
    from shards.read import ShardReader

    if len(args.sources) != 1:
        raise DataError(f"--check has {len(args.sources)} places, expected SHARDS", fix="check one after the other")
    index = ShardIndex.load(args.sources[0], args.languages or None)
    languages = index.languages[args.part[0] :: args.part[1]]
    adapter = args.adapter[0] if args.adapter else None
    if not args.dry_run:
        for language in languages:
            check_storable(index.language(language))
    overrides = ["--run.device", args.device] if args.device else []
    heard = [adapter] if adapter else languages
    with at_work(f"loading {args.model}"):
        model = load_acoustic_model(args.model, heard, pointer=args.pointer, settings=overrides)
    reader = ShardReader(index)
    found = []
    console = make_console(stderr=args.json)
    for language in languages:
        entry = index.language(language)
        with WorkProgress(console, sum(map(entry.utterances, entry.splits)), "utterances") as work:
            work.describe(language)
            check = check_language(
                model, index, reader, language, worst=args.worst, adapter=adapter, advance=work.advance
            )
        if not args.dry_run:
            store_scores(entry, check.scores, check.model)
        if args.json:
            found.append(_as_json(check))
        else:
            worst = [WorstTranscript(each.score, each.key, each.split, each.text, each.heard) for each in check.worst]
            print_scores(
                console,
                language,
                check.all_scores,
                suspicious=check.suspicious,
                thresholds=check.thresholds,
                worst=worst,
            )
    if args.json:
        print_json(found)
    elif not args.dry_run and languages:
        say(console, f"scores are stored in {args.sources[0]}; leave low ones out with data.min_align_score")
    return 0


def _as_json(check: "Check") -> dict[str, Any]:
    from dataclasses import asdict

    import numpy as np

    from shards.display.score_report import histogram

    scores = check.all_scores
    edges, counts = histogram(scores)
    return {
        "language": check.language,
        "model": check.model,
        "utterances": len(scores),
        "median": round(float(np.median(scores)), 4),
        "suspicious_below": {split: round(threshold, 4) for split, threshold in check.thresholds.items()},
        "suspicious": check.suspicious,
        "histogram": {"edges": edges, "counts": counts},
        "worst": [asdict(each) | {"score": round(each.score, 4)} for each in check.worst],
    }
