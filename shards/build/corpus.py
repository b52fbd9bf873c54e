"""Build shards: decode, check and write every planned utterance, language by language. A build can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards.build.language_build import BuildOptions, BuildProgress, LanguageBuild
from shards.build.output_folder import folder_for, only_build, writing
from shards.build.plan import LanguagePlan
from shards.drops import NO_UTTERANCES
from shards.errors import ShardsError, SourceError
from shards.pool import process_pool


@dataclass(slots=True)
class BuildReport:
    """By language: the content of `index.json`, or the error message. `reused` lists languages built earlier."""

    indexes: dict[str, dict[str, Any]] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def build_shards(
    plans: Sequence[LanguagePlan],
    output: Path,
    options: BuildOptions,
    *,
    workers: int,
    force: bool = False,
    progress: BuildProgress | None = None,
) -> BuildReport:
    """Build the shards of every planned language under `output`; the bytes do not depend on `workers`.

    A language is skipped if its source and options have not changed since it was built and its files are intact,
    unless `force` is set. If a build was interrupted, its finished shards are kept. A language appears in `output`
    complete or not at all.

    Raises:
        ShardsError: another build is writing one of the languages, a worker process died, or `output` cannot be
            written.
    """
    progress = progress or BuildProgress()
    report = BuildReport()
    with folder_for(output), process_pool(workers) as executor:
        builds = [(plan, LanguageBuild(plan, output, options)) for plan in plans]
        for plan, build in builds:
            with writing(plan.language, output):
                build.check_target(force=force)
        for plan, build in builds:
            with writing(plan.language, output), only_build(build.lock, output, plan.language):
                index = None if force else build.finished_index()
                if index is not None:
                    report.reused.append(plan.language)
                    index = _with_files_of(plan, index)
                else:
                    try:
                        index = build.run(executor, workers, progress)
                    except SourceError as error:
                        report.failed[plan.language] = str(error)
                        # Removed while locked: a process that has opened it meanwhile sees that it is gone and
                        # creates a new one.
                        build.lock.unlink(missing_ok=True)
                        continue
                    except BrokenProcessPool as error:
                        raise ShardsError(
                            f"a worker process died while building {plan.language}, perhaps because memory ran out",
                            fix="run the same command again with fewer --workers (finished shards are kept)",
                        ) from error
            report.indexes[plan.language] = index
            progress.finished(plan.language, index, reused=plan.language in report.reused)
    return report


def is_built(plan: LanguagePlan, output: Path, options: BuildOptions) -> bool:
    """Whether `build_shards` would skip this language.

    Raises:
        ShardsError: the files in `output` cannot be read.
    """
    with writing(plan.language, output):
        return LanguageBuild(plan, output, options).finished_index() is not None


def _with_files_of(plan: LanguagePlan, index: dict[str, Any]) -> dict[str, Any]:
    """Return an earlier build's index for display, with the current count of files that are not utterances."""
    drops = {reason: entry for reason, entry in index["drops"].items() if reason not in NO_UTTERANCES}
    now = plan.drops.as_dict()
    return index | {"drops": drops | {reason: now[reason] for reason in NO_UTTERANCES if reason in now}}
