"""Check the few real rounds that the session trains first."""

from mms_dist.debugging.report import Check, RoundLine, plural, verdict
from mms_dist.monitor.report import RoundReport
from mms_dist.run_directory.quarantine import read_mark
from mms_dist.training.trial import Trial


def round_line(report: RoundReport) -> RoundLine:
    """Return what the debug report shows of a round."""
    return RoundLine(
        report.round,
        losses={each.language: each.loss for each in report.languages},
        grad_norms={each.language: each.grad_norm for each in report.languages},
        seconds=report.seconds,
        audio_seconds=report.audio_seconds,
        padding_fraction=report.padding_fraction,
    )


def train_rounds(trial: Trial) -> Check:
    """Run the loop to its end, and check that every language took every step and that its checkpoint is readable."""
    claim = "train: every language takes its steps, is evaluated, saved and read back"
    steps = trial.parts.loop.lifecycle.config.checkpoint.every_rounds
    store, languages = trial.store, trial.index.languages
    trial.parts.loop.run()
    store.drain()
    problems = []
    for language in languages:
        snapshot = store.load(language)
        if snapshot.step != steps:
            mark = read_mark(store.directory, language)
            reason = f"it was quarantined: {mark.reason}" if mark else "not every batch could be read"
            problems.append(f"the last good checkpoint of {language} is at step {snapshot.step} of {steps}: {reason}")
    problems += [str(damage) for damage in store.damaged]
    measured = "; ".join(problems) or f"{plural(len(languages), 'language')}, {plural(steps, 'round')}"
    return verdict("loop", claim, not problems, measured)
