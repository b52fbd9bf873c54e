"""Say in words which languages are read well, which are not, and what probably explains it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mms_dist.evaluation.metrics import FAIR_CER, GOOD_CER, Scores
from mms_dist.evaluation.stored_evaluation import GREEDY
from mms_dist.model.base_files import SHIPPED_BASE
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


def findings(report: LanguageReport, split: str, *, dev_decoder: str = GREEDY) -> list[LanguageFinding]:
    """Return what is worth knowing of a language, urgent things first.

    Args:
        split: that the scores are of.
        dev_decoder: what training decoded dev with.
    """
    found = [*_training(report), *_scored_step(report, split), *_data(report), *_errors(report, split, dev_decoder)]
    return sorted(found, key=lambda each: not each.urgent)


def summary(run: RunReport) -> list[SummaryLine]:
    """Say what needs someone's attention, and which languages are good, fair and poor."""
    if not run.scored_languages:
        return [SummaryLine("No language has been evaluated yet.")]
    return [*_by_kind(run, urgent=True), *_grades(run)]


def explanations(run: RunReport) -> list[SummaryLine]:
    """Say what probably explains the error rates, and where errors gather."""
    return [*_base(run), *_by_kind(run, urgent=False), *_where(run)] if run.scored_languages else []


def _grades(run: RunReport) -> Iterator[SummaryLine]:
    """Name the languages of each grade, best first, and the poor ones worst first."""
    limits = {
        Grade.GOOD: f"CER up to {100 * GOOD_CER:g} %",
        Grade.FAIR: f"up to {100 * FAIR_CER:g} %",
        Grade.POOR: f"above {100 * FAIR_CER:g} %",
    }
    for grade, limit in limits.items():
        codes = [each.language for each in run.scored_languages if each.grade is grade]
        if grade is Grade.POOR:
            codes.reverse()
        text = f"{grade.capitalize()} ({limit})"
        yield SummaryLine(text if codes else f"{text}: none.", codes[:MOST_NAMED], max(0, len(codes) - MOST_NAMED))


def _base(run: RunReport) -> Iterator[SummaryLine]:
    if run.base == SHIPPED_BASE:
        yield SummaryLine(
            f"The base {SHIPPED_BASE} is a small one for trials, which limits every language. For real use, train "
            "on an MMS base of 300 million or 1 billion parameters."
        )


def _by_kind(run: RunReport, *, urgent: bool) -> Iterator[SummaryLine]:
    """Gather the findings of all languages, the most frequent first."""
    found: dict[str, list[LanguageReport]] = defaultdict(list)
    for language in run.languages:
        for finding in language.findings:
            if finding.urgent == urgent:
                found[finding.kind].append(language)
    for kind, languages in sorted(found.items(), key=lambda item: -len(item[1])):
        yield _line(kind, languages, of=len(run.languages))


def _where(run: RunReport) -> Iterator[SummaryLine]:
    """Name the languages with groups of utterances that are worse beyond chance."""
    codes = list(dict.fromkeys(each.language for each in run.standing_out))
    if codes:
        yield SummaryLine("Some utterances clearly worse than the rest of their language, see Errors", codes)


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
    late = _late_fall(history)
    if late is not None and late[1] > STILL_IMPROVING and report.grade is not Grade.GOOD:
        from_step, fall = late
        yield LanguageFinding(
            "Still improving when training ended" if history.state == FINISHED else "Still improving",
            f"The dev CER fell by {100 * fall:.0f} % of its value from step {from_step:,} to {history.step:,}: more "
            "steps would probably help.",
        )
    if history.state == FINISHED and history.reason == "early_stop":
        text = f"Stopped early at step {history.step:,} of {history.steps:,}: the dev CER no longer improved."
        yield LanguageFinding("Stopped early", text)


def _late_fall(history: LanguageHistory) -> tuple[int, float] | None:
    """How much of the dev CER went since the best evaluation of the first three quarters, and the step of that.

    None if that is unknown, or if the last evaluation is not the best.
    """
    points = [point for point in history.curve if point.cer == point.cer and point.step > 0]
    earlier = [point for point in points if point.step <= 0.75 * history.step]
    if not earlier or not points[-1].cer or points[-1].step < 0.9 * history.step:
        return None
    start = min(earlier, key=lambda point: point.cer)
    if not start.cer or points[-1].cer > min(point.cer for point in points):
        return None
    return start.step, (start.cer - points[-1].cer) / start.cer


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


def _errors(report: LanguageReport, split: str, dev_decoder: str) -> Iterator[LanguageFinding]:
    scores = report.scores
    if scores is None or report.grade is Grade.GOOD:
        return
    # A language model would hide how much worse it is than on dev, where training decoded greedily.
    alike = (report.greedy or scores) if dev_decoder == GREEDY else scores
    if split != "dev" and report.dev_cer and alike.cer_low > HARDER * report.dev_cer:
        yield LanguageFinding(
            f"Much worse on {split} than on dev",
            f"The CER on {split} is {percent(alike.cer)} %, on dev {percent(report.dev_cer)} %: other speakers, "
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
