"""Train a few real rounds: the round loop of training, with evaluation and checkpoints, in a separate folder."""

import io
from pathlib import Path

from rich.console import Console

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.debugging.report import Check, RoundLine, plural, verdict
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import LanguagePlan, RoundReport
from mms_dist.training.assembly import Parts
from mms_dist.training.quarantine import read_quarantine


class SilentMonitor(Monitor):
    """Keeps the reports of the rounds and prints nothing."""

    def __init__(self, directory: Path, languages: list[LanguagePlan]) -> None:
        super().__init__(
            directory, languages=languages, live=False, tensorboard=False, console=Console(file=io.StringIO())
        )
        self.rounds: list[RoundLine] = []
        self.reports: list[RoundReport] = []

    def round(self, report: RoundReport) -> None:
        super().round(report)
        self.reports.append(report)
        self.rounds.append(
            RoundLine(
                report.round,
                losses={each.language: each.loss for each in report.languages},
                grad_norms={each.language: each.grad_norm for each in report.languages},
                seconds=report.seconds,
                audio_seconds=report.audio_seconds,
                padding_fraction=report.padding_fraction,
            )
        )


def train_rounds(parts: Parts, store: CheckpointStore, monitor: SilentMonitor, *, languages: list[str]) -> Check:
    """Run the loop to its end, and check that every language took every step and that its checkpoint is readable."""
    claim = "train: every language takes its steps, is evaluated, saved and read back"
    steps = parts.loop.lifecycle.config.checkpoint.every_rounds
    parts.loop.run()
    store.drain()
    problems = []
    for language in languages:
        snapshot = store.load(language)
        if snapshot.step != steps:
            mark = read_quarantine(store.directory, language)
            reason = f"it was quarantined: {mark.reason}" if mark else "not every batch could be read"
            problems.append(f"the last good checkpoint of {language} is at step {snapshot.step} of {steps}: {reason}")
    problems += [str(damage) for damage in store.damaged]
    measured = "; ".join(problems) or f"{plural(len(languages), 'language')}, {plural(steps, 'round')}"
    return verdict("loop", claim, not problems, measured)
