"""A trial: a few real rounds of the user's configuration, cut short, with everything else as in the run."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.hardware.base_loading import load_base
from mms_dist.hardware.resolve import Resolved
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.reports import RoundReport
from mms_dist.run_directory.paths import RunPaths
from mms_dist.training.assembly import assemble
from mms_dist.training.components import RunComponents
from mms_dist.training.restore import fresh_start
from shards.index import ShardIndex


class RecordingMonitor(Monitor):
    """Keeps the reports of the rounds and prints nothing."""

    def __init__(self, directory: Path, languages: Sequence[LanguageSummary]) -> None:
        super().__init__(
            directory, languages=languages, live=False, tensorboard=False, console=Console(file=io.StringIO())
        )
        self.reports: list[RoundReport] = []

    def round(self, report: RoundReport) -> None:
        super().round(report)
        self.reports.append(report)


@dataclass(frozen=True)
class Trial:
    """A trial that is ready to run: `components.loop.run()` trains its rounds."""

    index: ShardIndex
    summaries: list[LanguageSummary]
    components: RunComponents
    store: CheckpointStore
    monitor: RecordingMonitor


def shorten(
    config: Config,
    languages: Sequence[str],
    *,
    directory: Path,
    rounds: int,
    dev_utterances: int,
    batch_seconds: Mapping[str, float] | None = None,
) -> Config:
    """Shorten a configuration to `rounds` rounds of `languages`, all of them active at once.

    Warm-up and early stopping are off: they have no meaning over so few steps.

    Args:
        directory: run directory of the trial.
        dev_utterances: most utterances of a language in the one evaluation at the end.
        batch_seconds: smaller optimizer batches, by language; the others keep theirs.
    """
    own = {}
    for language in languages:
        sections = {name: dict(values) for name, values in config.languages.get(language, {}).items()}
        sections["optim"] = sections.get("optim", {}) | {"steps": rounds, "warmup_steps": 0}
        if batch_seconds and language in batch_seconds:
            sections["optim"]["batch_seconds"] = batch_seconds[language]
        sections["stopping"] = sections.get("stopping", {}) | {"patience": None, "target_cer": None}
        own[language] = sections
    return replace(
        config,
        run=replace(config.run, directory=str(directory)),
        data=replace(config.data, languages=tuple(languages)),
        rounds=replace(config.rounds, slots=len(languages)),
        evaluation=replace(config.evaluation, every_steps=rounds, max_utterances=dev_utterances),
        checkpoint=replace(config.checkpoint, every_rounds=rounds),
        languages=own,
    )


@contextlib.contextmanager
def trial(config: Config, device: torch.device, resolved: Resolved) -> Iterator[Trial]:
    """Assemble the run of a shortened configuration on this process alone.

    `resolved` holds the settings of the whole run, so that the trial's passes are the run's.

    Raises:
        MmsDistError, ShardsError: an error that the user can fix.
    """
    index, summaries = summarise_languages(config)
    directory = Path(config.run.directory)
    base = load_base(config, device, resolved)
    with (
        CheckpointStore(RunPaths(directory).adapters, keep=1) as store,
        RecordingMonitor(directory, summaries) as monitor,
        assemble(
            config,
            index=index,
            summaries=summaries,
            base=base,
            restored=fresh_start(summaries),
            store=store,
            monitor=monitor,
            resolved=resolved,
        ) as components,
    ):
        yield Trial(index, summaries, components, store, monitor)
