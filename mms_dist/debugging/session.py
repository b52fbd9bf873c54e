"""A debugging session, from a configuration to a report: first the sections, then the checks."""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

from mms_dist.config import Config
from mms_dist.data.batch import LoadedBatch
from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.data.training_stream import training_stream
from mms_dist.data.utterance_source import shard_cache
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.checks.frozen import (
    backward_reaches_rows_only,
    base_is_unchanged,
    nothing_is_saved_below_adapters,
)
from mms_dist.debugging.checks.independence import (
    absent_language_is_unchanged,
    audio_length_does_not_weigh,
    clipping_is_per_language,
    nan_does_not_spread,
    same_alone_and_together,
)
from mms_dist.debugging.checks.interoperable import hugging_face_agrees
from mms_dist.debugging.checks.sanity import (
    every_language_trains,
    every_tensor_has_a_gradient,
    frames_suffice,
    labels_round_trip,
)
from mms_dist.debugging.debug_report import Check, DebugReport
from mms_dist.debugging.debug_view import DebugView
from mms_dist.debugging.overfit import OverfitRun, every_language_overfits
from mms_dist.debugging.pass_shapes import packed_stages, route, stages
from mms_dist.debugging.sections import (
    gradient_lines,
    language_lines,
    memory_lines,
    round_line,
    transcript_lines,
)
from mms_dist.distributed.device import set_threads, use_device
from mms_dist.distributed.gpu import naming_the_gpu
from mms_dist.errors import ConfigError
from mms_dist.hardware.memory_estimate import Memory, RunShape
from mms_dist.hardware.resolve import Resolved
from mms_dist.model.base_shape import BaseShape
from mms_dist.training.assembly import resolve_for_single_process
from mms_dist.training.trial import Trial, shorten, trial
from shards.read import ShardReader

OVERFIT_UTTERANCES = 2
MOST_LANGUAGES = 5
"""Number of languages if none are named: enough for every check, few enough to read."""


@dataclass(frozen=True)
class Amount:
    """How much to debug: languages (None: the first few), utterances per batch, rounds, and overfitting steps."""

    languages: Sequence[str] | None = None
    utterances: int = 4
    rounds: int = 3
    overfit_steps: int = 100


def debug(config: Config, amount: Amount, view: DebugView, *, name: str) -> DebugReport:
    """Debug a configuration on one device, and write only to a temporary folder, which is deleted at the end.

    Raises:
        MmsDistError, ShardsError: an error that the user can fix.
    """
    began = perf_counter()
    set_threads(config.run.threads)
    device = use_device(config.run.device)
    view.doing("reading the indexes of the shards")
    _, summaries = summarise_languages(config, on_progress=view.doing)
    view.doing(f"loading the base {config.model.base}")
    resolved = resolve_for_single_process(config, summaries, device)
    languages = choose_debugged_languages(amount.languages, summaries)
    entries = [entry for entry in summaries if entry.language in languages]
    with tempfile.TemporaryDirectory(prefix="mms-dist-debug-") as folder:
        small = shortened(config, entries, amount, directory=Path(folder) / "run")
        report = DebugReport(
            config=name,
            base=config.model.base,
            device=config.run.device,
            dtype=resolved.dtype,
            run_languages=len(summaries),
            run_utterances=sum(entry.utterances for entry in summaries),
            run_seconds=sum(entry.seconds for entry in summaries),
        )
        with (
            naming_the_gpu(device),
            trial(small, device, resolved) as trained,
            contextlib.closing(ShardReader(trained.index, shard_cache(small.data))) as reader,
        ):
            report.device = str(trained.components.base.device)
            session = _Session(
                config=config,
                summaries=summaries,
                resolved=resolved,
                trial=trained,
                reader=reader,
                amount=amount,
                view=view,
                report=report,
            )
            session.run(Path(folder))
    report.seconds = perf_counter() - began
    view.end(report)
    return report


def choose_debugged_languages(asked: Sequence[str] | None, summaries: Sequence[LanguageSummary]) -> list[str]:
    """Return the requested languages, or the first few of the run.

    Raises:
        ConfigError: a requested language is not in the run.
    """
    present = [entry.language for entry in summaries]
    unknown_languages = sorted(set(asked or ()) - set(present))
    if unknown_languages:
        raise ConfigError(
            f"--languages names {unknown_languages[0]!r}, which the run does not train",
            fix=f"choose from {', '.join(present)}",
        )
    return sorted(set(asked)) if asked else present[:MOST_LANGUAGES]


def shortened(config: Config, summaries: Sequence[LanguageSummary], amount: Amount, *, directory: Path) -> Config:
    """Shorten the run to the languages of `summaries`, and to batches and rounds of this amount."""
    return shorten(
        config,
        [entry.language for entry in summaries],
        directory=directory,
        rounds=amount.rounds,
        dev_utterances=amount.utterances,
        batch_seconds={
            entry.language: min(entry.batch_seconds, amount.utterances * entry.seconds / entry.utterances)
            for entry in summaries
        },
    )


@dataclass(kw_only=True)
class _Session:
    """The components of a session, and its steps."""

    config: Config
    summaries: Sequence[LanguageSummary]
    trial: Trial
    reader: ShardReader
    amount: Amount
    view: DebugView
    report: DebugReport
    resolved: Resolved

    def run(self, folder: Path) -> None:
        fingerprint = self.trial.components.base.fingerprint()
        self.view.begin(self.report, self.trial.components.base.parameter_count(), self.amount.rounds)
        self.view.doing("training")
        trained = every_language_trains(self.trial)
        self.view.doing("computing shapes, memory and gradients")
        self.report.rounds = [round_line(report) for report in self.trial.monitor.reports]
        bench = Bench.of(
            self.trial,
            self.reader,
            base=self.config.model.base,
            seed=self.config.run.seed,
            count=self.amount.utterances,
        )
        self._sections(bench)
        self.view.checks_begin()
        self._add(trained, labels_round_trip(self.report.transcripts), frames_suffice(bench))
        self._add(every_tensor_has_a_gradient(self.report.gradients))
        checks = (
            same_alone_and_together,
            nan_does_not_spread,
            clipping_is_per_language,
            audio_length_does_not_weigh,
            absent_language_is_unchanged,
            nothing_is_saved_below_adapters,
            backward_reaches_rows_only,
        )
        for number, check in enumerate(checks, 1):
            self.view.doing(f"checking: {check.__name__.replace('_', ' ')}, {number} of {len(checks)}")
            self._add(check(bench))
        with bench.restored_afterwards():
            self.view.doing("overfitting")
            batches = self._overfit(bench)
            self.view.doing("checking: Hugging Face agrees")
            self._add(hugging_face_agrees(replace(bench, batches=batches), folder))
        self._add(base_is_unchanged(self.trial.components.base, fingerprint))

    def _sections(self, bench: Bench) -> None:
        report, view = self.report, self.view
        report.languages = language_lines(self.summaries, bench, partial(training_stream, self.config))
        view.plan(report)
        view.rounds(report)
        groups = bench.forward_groups()
        forward = bench.forward(groups[0])
        report.shapes = packed_stages(bench) if bench.components.gradients.packed else stages(bench, forward)
        report.route = route(bench, forward)
        view.shapes(report)
        view.route(report, forward_passes=len(groups))
        del forward
        report.memory = memory_lines(bench, run_memory=self._run_memory(), run_slots=self._slots)
        view.memory(report)
        report.gradients = gradient_lines(bench)
        view.gradients(report)
        report.transcripts = transcript_lines(bench)
        view.transcripts(report)

    @property
    def _slots(self) -> int:
        return min(self.config.rounds.slots, len(self.summaries))

    def _run_memory(self) -> Memory:
        config, resolved = self.config, self.resolved
        base = BaseShape.of(config.model.base)
        shape = RunShape.of(base, self.summaries, adapter=config.adapter, rounds=config.rounds, model=config.model)
        needs = shape.memory_needs(resolved.dtype, resolved.hardware, packed=resolved.packed)
        return needs.memory(resolved.forward_seconds)

    def _overfit(self, bench: Bench) -> dict[str, LoadedBatch]:
        run = OverfitRun.of(bench, self.reader, utterances=OVERFIT_UTTERANCES)
        self.report.overfit = run.run(steps=self.amount.overfit_steps, report=self.view.overfitting)
        self.view.overfitted()
        self._add(every_language_overfits(self.report.overfit, utterances=OVERFIT_UTTERANCES))
        return run.batches

    def _add(self, *checks: Check) -> None:
        for check in checks:
            self.report.checks.append(check)
            self.view.check(check)
