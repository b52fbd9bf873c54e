"""Say in words which languages are read well, which are not, and what probably explains it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mms_dist.evaluation.metrics import Scores
from mms_dist.monitor.formatting import percent
from mms_dist.monitor.history import FINISHED, LanguageHistory
from mms_dist.report.run_report import Grade, LanguageData, LanguageFinding, LanguageReport, RunReport, SummaryLine
from shards.wording import counted

LITTLE_SECONDS = 3600.0
STILL_IMPROVING = 0.03
"""Relative fall of the dev CER over the last quarter of the steps."""
ONE_SIDED = 0.6
"""Part of all edits."""
HARDER = 1.3
"""Ratio of the CER on the scored split to that on dev."""
MOST_DROPPED = 0.05
MOST_NAMED = 10


def findings(report: LanguageReport, split: str) -> list[LanguageFinding]:
    """Return what is worth knowing of a language, urgent things first."""
    found = [*_training(report), *_scored_step(report, split), *_data(report), *_errors(report, split)]
    return sorted(found, key=lambda each: not each.urgent)


def summary(run: RunReport) -> list[SummaryLine]:
    """Say what is worth knowing of the run, most important first."""
    scored = run.scored_languages
    if not scored:
        return [SummaryLine("No language has been evaluated yet.")]
    found = []
    if len(scored) > 1:
        best, worst = scored[0], scored[-1]
        found.append(SummaryLine(f"Best, with a {run.split} CER of {percent(best.cer)} %", [best.language]))
        found.append(SummaryLine(f"Worst, with a {run.split} CER of {percent(worst.cer)} %", [worst.language]))
    by_kind: dict[str, list[LanguageReport]] = defaultdict(list)
    urgent = set()
    for language in run.languages:
        for finding in language.findings:
            by_kind[finding.kind].append(language)
            if finding.urgent:
                urgent.add(finding.kind)
    for kind, languages in sorted(by_kind.items(), key=lambda item: (item[0] not in urgent, -len(item[1]))):
        found.append(_line(kind, languages, of=len(run.languages)))
    return found


def _line(kind: str, languages: Sequence[LanguageReport], *, of: int) -> SummaryLine:
    if len(languages) == of and of > 1:
        return SummaryLine(f"{kind}: all {of:,} languages.")
    codes = [each.language for each in sorted(languages, key=lambda each: -(each.cer or 0.0))]
    return SummaryLine(kind, codes[:MOST_NAMED], max(0, len(codes) - MOST_NAMED))


def _training(report: LanguageReport) -> Iterator[LanguageFinding]:
    history = report.history
    if report.is_quarantined:
        since = f"since step {history.step:,}"
        yield LanguageFinding("In quarantine", f"In quarantine {since}: {history.reason}.", urgent=True)
    if history.damaged_samples:
        text = f"{counted(history.damaged_samples, 'recording')} could not be read and were left out of training."
        yield LanguageFinding("Damaged recordings in the shards", text, urgent=True)
    fall = _late_fall(history)
    if fall is not None and fall > STILL_IMPROVING and report.grade is not Grade.GOOD:
        yield LanguageFinding(
            "Still improving when training ended" if history.state == FINISHED else "Still improving",
            f"The dev CER fell by {fall:.0%} of its value over the last quarter of the steps: more steps would "
            "probably help.".replace("%", " %", 1),
        )
    if history.state == FINISHED and history.reason == "early_stop":
        text = f"Stopped early at step {history.step:,} of {history.steps:,}: the dev CER no longer improved."
        yield LanguageFinding("Stopped early", text)


def _late_fall(history: LanguageHistory) -> float | None:
    """How much of the dev CER went over the last quarter of the steps taken; None if that is unknown."""
    points = [point for point in history.curve if point.cer == point.cer and point.step > 0]
    earlier = [point for point in points if point.step <= 0.75 * history.step]
    if not earlier or not points[-1].cer or points[-1].step < 0.9 * history.step:
        return None
    start = min(point.cer for point in earlier)
    return (start - points[-1].cer) / start if start else None


def _data(report: LanguageReport) -> Iterator[LanguageFinding]:
    seconds = report.train_seconds
    if seconds is not None and seconds < LITTLE_SECONDS and report.grade is not Grade.GOOD:
        text = f"Only {seconds / 60:.0f} minutes of training audio."
        yield LanguageFinding("Less than an hour of training audio", text)
    data = report.data
    if data is None:
        return
    if data.speakers == 1:
        yield LanguageFinding(
            "A single speaker", "All recordings are of one speaker: expect more errors with other voices."
        )
    whole = sum(data.utterances.values()) + data.dropped_count
    if whole and data.dropped_count / whole > MOST_DROPPED:
        most = max(data.dropped, key=lambda each: each.count)
        text = (
            f"{data.dropped_count:,} of {whole:,} utterances were left out of the shards, most because of "
            f"{most.reason} ({most.meaning})."
        )
        yield LanguageFinding(f"More than {MOST_DROPPED:.0%} of the data left out".replace("%", " %"), text)
    yield from _unseen(data)


def _unseen(data: LanguageData) -> Iterator[LanguageFinding]:
    found = {character for characters in data.characters_not_in_train.values() for character in characters}
    if found:
        shown = " ".join(sorted(found)[:MOST_NAMED])
        text = f"Dev or test text has characters that training text lacks, so they cannot be written: {shown}"
        yield LanguageFinding("Characters that training never saw", text)


def _scored_step(report: LanguageReport, split: str) -> Iterator[LanguageFinding]:
    step, best = report.scored_step, report.history.best
    if step == 0:
        text = "Not trained when it was scored: the scores are those of its initial weights."
        yield LanguageFinding("Scored before training", text, urgent=True)
    elif step is not None and best is not None and best.step > step:
        text = f"The {split} scores are of step {step:,}; step {best.step:,} has a lower dev CER since. Score it again."
        yield LanguageFinding("Scored before training went on", text, urgent=True)


def _errors(report: LanguageReport, split: str) -> Iterator[LanguageFinding]:
    scores = report.scores
    if scores is None or report.grade is Grade.GOOD:
        return
    if split != "dev" and report.dev_cer and scores.cer_low > HARDER * report.dev_cer:
        yield LanguageFinding(
            f"Much worse on {split} than on dev",
            f"The CER on {split} is {percent(scores.cer)} %, on dev {percent(report.dev_cer)} %: other speakers, "
            "recordings or topics than in training.",
        )
    yield from _one_sided(scores)


def _one_sided(scores: Scores) -> Iterator[LanguageFinding]:
    edits = scores.character_edits
    if edits.deletions > ONE_SIDED * edits.total:
        part = f"{edits.deletions / edits.total:.0%}".replace("%", " %")
        yield LanguageFinding(
            "Mostly missing characters", f"{part} of the errors are characters that were not written."
        )
    elif edits.insertions > ONE_SIDED * edits.total:
        part = f"{edits.insertions / edits.total:.0%}".replace("%", " %")
        yield LanguageFinding("Mostly added characters", f"{part} of the errors are characters that nobody said.")
