"""Runs with scores, transcripts and shards as a report reads them, written by the product's own writers."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mms_dist.config.load import parse_config, write_config
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.metrics import Scores, measure
from mms_dist.evaluation.score_run import LanguageResult
from mms_dist.evaluation.stored_evaluation import scores_json, transcripts_tsv
from mms_dist.evaluation.text_edits import confusions
from mms_dist.evaluation.utterance_groups import Attributes, group_scores
from mms_dist.monitor.events import EventLog
from mms_dist.run_directory.status_file import RunState, begin
from mms_dist.software import software_versions
from shards.index import ShardIndex
from tests.corpus import toy_languages
from tests.monitor_samples import MetricsWriter, a_round
from tests.shard_samples import build, sentence, write_corpus

STEPS = 4_000
EVERY_STEPS = 200
CONDITIONS = {"noise:20": 1.1, "noise:10": 1.3, "noise:0": 2.2, "speed:0.9": 1.05, "telephone": 1.6}
"""With the factor by which they raise error rates."""
_BOUNDS = {"low": -0.01, "high": 0.02}
MOST_LEVELS = 25
"""Of quality: languages beyond this many share scores and transcripts, because intervals take long to compute."""
LETTERS = "abcdefghilmnoprst "


def write_run(
    folder: Path,
    *,
    languages: int = 5,
    evaluated: bool = True,
    ended: bool = True,
    language_model: bool = False,
    conditions: bool = False,
) -> Path:
    """A run of toy languages below `folder`, from very good ones to useless ones, and its shards.

    Args:
        evaluated: with the scores and transcripts of test.
        ended: otherwise the last third of the languages waits, and the second third trains.
        language_model: with scores of greedy decoding beside those of a language model.
        conditions: with scores under noise and other speeds.
    """
    run, codes = folder / "run", toy_languages(languages)
    shards = write_shards(folder, codes)
    _write_progress(run, codes, ended=ended)
    config = {
        "run": {"directory": str(run)},
        "data": {"shards": str(shards)},
        "optim": {"steps": STEPS, "lr": 5e-4},
        "languages": {codes[-1]: {"optim": {"lr": 1e-4}}},
    }
    write_config(parse_config(config), run / "config.yaml")
    if evaluated:
        write_evaluation(run, shards, codes, language_model=language_model, conditions=conditions)
    return run


def write_shards(folder: Path, codes: Sequence[str]) -> Path:
    """Shards of a language, and hard links to its tars under the codes of the others."""
    shards = folder / "shards"
    first = codes[0]
    build(write_corpus(folder / "corpus", languages=(first,), utterances=60), shards, shard_utterances=60)
    index = json.loads((shards / first / "index.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((shards / first / "vocab.json").read_text(encoding="utf-8"))[first]
    for number, code in enumerate(codes):
        if code != first:
            shutil.copytree(shards / first, shards / code, copy_function=os.link)
        drops = {"too_long": {"count": number, "examples": [f"{code}/clip007.wav: 31.2 s"]}} if number else {}
        own = {"index.json": index | {"language": code, "drops": drops}, "vocab.json": {code: vocabulary}}
        for name, content in own.items():
            (shards / code / name).unlink()
            (shards / code / name).write_text(json.dumps(content), encoding="utf-8")
    return shards


def write_evaluation(
    run: Path, shards: Path, codes: Sequence[str], *, language_model: bool = False, conditions: bool = False
) -> None:
    """Scores and transcripts of test, as `mms-dist eval` stores them."""
    levels = min(len(codes), MOST_LEVELS)
    scored = [_result(codes[0], level / max(1, levels - 1), shards) for level in range(levels)]
    results = [replace(scored[number * levels // len(codes)], language=code) for number, code in enumerate(codes)]
    values: dict[str, Any] = scores_json(results, lambda _: "beam_search" if language_model else "greedy")
    for result in results:
        entry = values["languages"][result.language]
        if language_model:
            entry["decoder"]["language_model"] = str(shards)
            entry["greedy"] = asdict(_scaled(result.scores, 1.25))
        if conditions:
            entry["conditions"] = {name: asdict(_scaled(result.scores, factor)) for name, factor in CONDITIONS.items()}
    if conditions:
        values["conditions"] = {name: _mean_condition(values["mean"], factor) for name, factor in CONDITIONS.items()}
    (run / "eval").mkdir()
    (run / "eval" / "test.json").write_text(json.dumps(values), encoding="utf-8")
    (run / "eval" / "test.tsv").write_text(transcripts_tsv(results), encoding="utf-8")


def noisy(text: str, rate: float, random: np.random.Generator) -> str:
    """A text with about this rate of wrong characters: replaced, left out, or doubled."""
    said = []
    for character in text:
        kind = random.random() / max(rate, 1e-9)
        if kind < 0.5:
            said.append(LETTERS[int(random.integers(len(LETTERS)))])
        elif kind >= 0.8:
            said.append(character)
            if kind < 1.0:
                said.append(character)
    return " ".join("".join(said).split())


def _result(code: str, place: float, shards: Path) -> LanguageResult:
    random = np.random.default_rng(int(1000 * place))
    table = ShardIndex.load(str(shards), [code]).language(code).table("test")
    references = [sentence(row * 37 + 5, 9) for row in range(len(table))]
    hypotheses = [noisy(text, 0.01 + 0.5 * place**2 * random.uniform(0.4, 1.6), random) for text in references]
    if place == 1:  # among the worst: one that no space or agreement breaks, and one that is a single difference
        references[:2] = ["long" * 30, "many words that are not one word of it at all"]
        hypotheses[:2] = ["kurz" * 30, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
    keys = [str(key) for key in table.keys]
    said = Transcription(rows=table.rows.tolist(), keys=keys, references=references, hypotheses=hypotheses)
    measured = measure(references, hypotheses)
    attributes = [
        Attributes(float(seconds), speaker=f"speaker {number % 3}", tags={"numbers": str(number)} if number % 2 else {})
        for number, seconds in enumerate(table.durations)
    ]
    return LanguageResult(
        language=code,
        step=STEPS,
        checkpoint="best",
        scores=measured.scores(),
        transcription=said,
        groups=group_scores(measured, attributes),
        confusions=confusions(zip(references, hypotheses, strict=True)),
    )


def _mean_condition(mean: dict[str, float], factor: float) -> dict[str, Any]:
    change = {name: mean[name] * (factor - 1) for name in ("cer", "wer")}
    bounds = {f"{name}_{end}": value + shift for name, value in change.items() for end, shift in _BOUNDS.items()}
    return {name: factor * mean[name] for name in change} | {"change": change | bounds}


def _scaled(scores: Scores, factor: float) -> Scores:
    return replace(scores, cer=factor * scores.cer, wer=factor * scores.wer)


def _write_progress(run: Path, codes: Sequence[str], *, ended: bool) -> None:
    attempt = begin(run, processes=4, automatic=False, allowed=3)
    attempt.restored(round=0, steps=0)
    log = EventLog(run / "events.jsonl")
    log.write("run_started", round=0, languages=list(codes), versions=software_versions())
    for number, code in enumerate(codes):
        place = number / max(1, len(codes) - 1)
        if not ended and 3 * number >= 2 * len(codes):
            continue
        hours = 0.2 * 500 ** (1 - place)
        log.write(
            "admitted", language=code, step=0, steps=STEPS, utterances=int(900 * hours), audio_seconds=3600 * hours
        )
        last = STEPS if ended or 3 * number < len(codes) else STEPS // 2
        low = 0.01 + 0.5 * place**2
        for step in range(0, last + 1, EVERY_STEPS):
            cer = low + (1.6 - low) * float(np.exp(-step / (300 + 900 * place)))
            log.write("evaluated", language=code, step=step, cer=cer, wer=2.2 * cer, utterances=90, best=True)
        if last == STEPS:
            log.write("finished", language=code, step=STEPS, reason="steps")
    log.close()
    metrics = MetricsWriter(str(run / "metrics.jsonl"), tuple(codes[:2]))
    for number in range(1, 301):
        metrics.round(a_round(number, *codes[:2], seconds=20 + number % 7), between_seconds=2)
    metrics.close()
    if ended:
        attempt.finish(RunState.FINISHED, exit_code=0, round=STEPS, steps=STEPS * len(codes))
