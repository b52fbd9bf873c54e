"""Build shards: decode, check and write every planned utterance, language by language. A build can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards.build.candidates import LanguagePlan
from shards.build.language_build import BuildOptions, BuildProgress, LanguageBuild, check_target
from shards.build.language_output import LanguageOutput
from shards.build.local_output import LocalOutput
from shards.build.output_folder import TargetError, folder_for, writing
from shards.build.plans import Plans
from shards.build.remote_output import RemoteOutput
from shards.drops import NO_UTTERANCES
from shards.errors import Problem, SourceError, failure_of
from shards.index.failures import record_outcome
from shards.process_pool import WorkerPool


@dataclass(slots=True)
class BuildReport:
    """By language: the content of `index.json`, or why it failed. `reused` lists languages built earlier."""

    indexes: dict[str, dict[str, Any]] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    failed: dict[str, Problem] = field(default_factory=dict)


def build_shards(
    plans: Plans,
    output: Path | str,
    options: BuildOptions,
    *,
    workers: int,
    force: bool = False,
    progress: BuildProgress | None = None,
) -> BuildReport:
    """Build the shards of every planned language under `output`; the bytes do not depend on `workers`.

    `output` is a folder, or as a string the URL of a place on a remote file system.

    A language is skipped if its source and options have not changed since it was built and its files are intact,
    unless `force` is set. If a build was interrupted, its finished shards are kept. A language appears in `output`
    complete or not at all. A language that fails does not stop the others: it is in the report, and in `failed.json`.

    Raises:
        ShardsError: another build is writing one of the languages, or `output` cannot be written.
    """
    progress = progress or BuildProgress()
    report = BuildReport()
    if not len(plans):
        if isinstance(output, str) or output.is_dir():
            _record(report, output, plans.failed)
        report.failed |= plans.failed
        return report
    with folder_for(output), WorkerPool(workers) as pool:
        _record(report, output, plans.failed)
        for language in plans.totals:
            try:
                with writing(language, output):
                    check_target(output_of(language, output), language, force=force)
            except TargetError as error:
                _record(report, output, {language: error.problem})
        for plan in plans:
            if plan.language in report.failed:
                continue
            try:
                _build_language(plan, output, options, pool, report, force=force, progress=progress)
            except (SourceError, TargetError) as error:
                _record(report, output, {plan.language: error.problem})
            except BrokenProcessPool:
                problem = Problem(
                    f"a worker process died while building {plan.language}, perhaps because memory ran out",
                    "run the same command again with fewer --workers (finished shards are kept)",
                )
                _record(report, output, {plan.language: problem})
            else:
                with writing("the list of failed languages", output):
                    record_outcome(output, failed={}, done=[plan.language])
    return report


def output_of(language: str, output: Path | str) -> LanguageOutput:
    """Return where the shards of a language go: a folder (`Path`), or a place on a remote file system (its URL)."""
    return RemoteOutput(language, output) if isinstance(output, str) else LocalOutput(language, output)


def _build_language(
    plan: LanguagePlan,
    output: Path | str,
    options: BuildOptions,
    pool: WorkerPool,
    report: BuildReport,
    *,
    force: bool,
    progress: BuildProgress,
) -> None:
    with writing(plan.language, output):
        build = LanguageBuild(plan, output_of(plan.language, output), options)
        with build.output.exclusive():
            index = None if force else build.finished_index()
            if index is not None:
                report.reused.append(plan.language)
                index = _with_files_of(plan, index)
            else:
                index = build.run(pool, progress)
    report.indexes[plan.language] = index
    progress.finished(plan.language, index, reused=plan.language in report.reused)


def _record(report: BuildReport, output: Path | str, failed: Mapping[str, Problem]) -> None:
    report.failed |= failed
    try:
        record_outcome(output, failed=failed)
    except OSError as error:
        # Nothing else would keep these failures, so they end the build.
        raise failure_of(failed, others=len(report.indexes)) from error


def is_built(plan: LanguagePlan, output: Path | str, options: BuildOptions) -> bool:
    """Whether `build_shards` would skip this language.

    Raises:
        ShardsError: the files in `output` cannot be read.
    """
    with writing(plan.language, output):
        return LanguageBuild(plan, output_of(plan.language, output), options).finished_index() is not None


def _with_files_of(plan: LanguagePlan, index: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier build's index for display, with the current count of files that are not utterances."""
    drops = {reason: entry for reason, entry in index["drops"].items() if reason not in NO_UTTERANCES}
    now = plan.drops.as_dict()
    return index | {"drops": drops | {reason: now[reason] for reason in NO_UTTERANCES if reason in now}}
