"""Collect what a report shows from the files of a run, which may go on meanwhile. Nothing is written."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mms_dist.config import Config, load_config
from mms_dist.errors import ConfigError
from mms_dist.evaluation.stored_evaluation import (
    GREEDY,
    StoredEvaluation,
    StoredLanguage,
    StoredUtterance,
    read_evaluation,
)
from mms_dist.evaluation.text_edits import Confusions, confusions
from mms_dist.files import read_file
from mms_dist.monitor.history import LanguageHistory
from mms_dist.monitor.metrics_log import read_all_metrics
from mms_dist.monitor.run_status import read_run_status
from mms_dist.report.audio_samples import with_audio
from mms_dist.report.data_report import data_report, read_index
from mms_dist.report.error_samples import of_a_kind, shown_utterances
from mms_dist.report.findings import explanations, findings, summary
from mms_dist.report.run_report import DataReport, LanguageReport, RunReport, ScoredSplit, Setting, ShownUtterance
from mms_dist.report.timing import timing_of
from mms_dist.run_directory.paths import RunPaths
from shards import storage
from shards.index import ShardIndex

AUDIO_MIB = 4.0
"""Default budget for compressed recordings."""


def collect(
    run_directory: Path,
    *,
    audio_bytes: int = round(AUDIO_MIB * 2**20),
    on_progress: Callable[[str], None] = lambda doing: None,
    now: datetime | None = None,
) -> RunReport:
    """Read a run, its last evaluation and its shards.

    Args:
        audio_bytes: budget for compressed recordings; 0: none.
        on_progress: called with a description before each part that may take long.

    Raises:
        MmsDistError: the folder is not a run, or one of its files has unexpected content.
    """
    now = now or datetime.now(UTC)
    on_progress(f"reading {run_directory}")
    config, config_problem = _config(run_directory)
    status = read_run_status(
        run_directory, steps_of=None if config is None else lambda code: config.for_language(code).optim.steps, now=now
    )
    evaluation = read_evaluation(run_directory)
    codes = [language.language for language in status.languages]
    shards, index, problem = "", None, config_problem
    if config is not None:
        shards = config.data.shards
        on_progress(f"reading the indexes of {shards}")
        index, problem = read_index(shards, codes)
    data = data_report(shards, index, problem, config)
    on_progress(f"aligning the transcripts of {len(codes):,} languages")
    languages = [_language(history, evaluation, data, config) for history in status.languages]
    languages = [
        replace(
            each,
            findings=findings(
                each, evaluation.split if evaluation else "dev", dev_decoder=_dev_decoder(config, each.language)
            ),
        )
        for each in languages
    ]
    on_progress("choosing utterances, and compressing their audio")
    languages, audio_problem = _with_utterances(languages, evaluation, index, audio_bytes)
    report = RunReport(
        directory=run_directory,
        made=now,
        status=status,
        languages=languages,
        scored=_scored(evaluation),
        data=data,
        timing=timing_of(read_all_metrics(run_directory)),
        settings=_settings(config),
        settings_problem=config_problem,
        base=config.model.base if config else None,
        hardware=_hardware(run_directory),
        versions=status.history.versions,
        audio_problem=audio_problem,
        audio_budget_bytes=audio_bytes,
    )
    return replace(report, summary=summary(report), explanations=explanations(report))


def _config(run_directory: Path) -> tuple[Config | None, str | None]:
    path = RunPaths(run_directory).config
    if not path.is_file():
        return None, f"{path} does not exist"
    try:
        return load_config(path), None
    except ConfigError as error:
        return None, str(error)


def _language(
    history: LanguageHistory, evaluation: StoredEvaluation | None, data: DataReport, config: Config | None
) -> LanguageReport:
    code = history.language
    stored = evaluation.languages.get(code) if evaluation else None
    return LanguageReport(
        history=history,
        scores=stored.scores if stored else None,
        scored_step=stored.step if stored else None,
        greedy=stored.greedy if stored else None,
        conditions=stored.conditions if stored else {},
        data=data.languages.get(code),
        confusions=_confusions(stored, evaluation.utterances.get(code, ()) if evaluation else ()),
        groups=stored.groups if stored else {},
        settings=_flat(config.languages.get(code, {})) if config else {},
        decoding=_decoding(stored) if stored else _dev_decoder(config, code).replace("_", " "),
        rules=stored.rules if stored else None,
    )


def _decoding(stored: StoredLanguage) -> str:
    model = " with a language model" if stored.language_model else ""
    return f"{stored.decoder.replace('_', ' ')}{model}"


def _dev_decoder(config: Config | None, language: str) -> str:
    """Return the decoder of training's evaluations."""
    return config.for_language(language).evaluation.decoder if config else GREEDY


def _confusions(stored: StoredLanguage | None, utterances: Sequence[StoredUtterance]) -> Confusions:
    """Return those that are stored, or count them if they were not stored yet."""
    if stored is not None and stored.confusions is not None:
        return stored.confusions
    return confusions((each.reference, each.hypothesis) for each in utterances)


def _with_utterances(
    languages: Sequence[LanguageReport],
    evaluation: StoredEvaluation | None,
    index: ShardIndex | None,
    audio_bytes: int,
) -> tuple[list[LanguageReport], str | None]:
    """Add the shown utterances, those of the worst languages with audio first."""
    if evaluation is None or not evaluation.utterances:
        return list(languages), None
    most = of_a_kind(len(languages))
    worst_first = sorted(languages, key=lambda each: -(each.cer or 0.0))
    shown = {
        each.language: shown_utterances(each.language, evaluation.utterances.get(each.language, ()), most)
        for each in worst_first
    }
    problem = None
    if audio_bytes:
        shown, problem = _with_audio(shown, index, evaluation.split, audio_bytes)
    return [replace(each, utterances=shown[each.language]) for each in languages], problem


def _with_audio(
    shown: dict[str, list[ShownUtterance]], index: ShardIndex | None, split: str, audio_bytes: int
) -> tuple[dict[str, list[ShownUtterance]], str | None]:
    if index is None:
        return shown, "the shards cannot be read"
    if storage.local_path(index.root) is None:
        return shown, f"the shards are not on this machine ({index.root})"
    readable = {code: own for code, own in shown.items() if code in index.languages}
    found, problem = with_audio(index, split, readable, budget_bytes=audio_bytes)
    return shown | found, problem


def _scored(evaluation: StoredEvaluation | None) -> ScoredSplit | None:
    if evaluation is None:
        return None
    return ScoredSplit(
        split=evaluation.split,
        written=evaluation.written,
        decoding=evaluation.decoding,
        scoring=evaluation.scoring,
        failed=evaluation.failed,
        has_transcripts=bool(evaluation.utterances),
        comparisons=evaluation.comparisons,
        changes=evaluation.changes,
    )


def _settings(config: Config | None) -> list[Setting]:
    if config is None:
        return []
    defaults = Config().flat()
    return [
        Setting(name, value, defaults.get(name))
        for name, value in config.flat().items()
        if not name.startswith("languages.") and name != "languages"
    ]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{name}": value for section, own in values.items() for name, value in own.items()}


def _hardware(run_directory: Path) -> str | None:
    """Return the hardware that the run's first start described; None if it left no description."""
    try:
        content = json.loads(read_file(RunPaths(run_directory).hardware))
    except (OSError, ValueError, RecursionError):
        return None
    found = content.get("hardware") if isinstance(content, dict) else None
    return str(found) if found else None
