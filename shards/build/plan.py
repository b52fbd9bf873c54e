"""Plan a build: from the rows of a source to the utterances of each language and split, without decoding."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shards.build.candidates import Candidate, LanguagePlan, digest_of, utterance_key
from shards.build.plans import Plans
from shards.drops import Drop, Drops, Rejected, no_training_utterances
from shards.errors import SourceError
from shards.sources.audio_reference import AudioReference
from shards.sources.rows import SourceRow
from shards.sources.source_rows import SourceRows
from shards.splits import PRECEDENCE, SENTENCE, SPEAKER_ONLY, Utterance, assign_splits, assign_splits_by_speaker
from shards.text.normaliser import TextNormaliser
from shards.text.text_tags import tags_of_text
from shards.text_rules import RuleOptions, load_rules
from shards.wording import counted, printable


def plan_languages(
    rows: SourceRows,
    *,
    dev_fraction: float,
    test_fraction: float,
    split_by: str = SENTENCE,
    text_rules: RuleOptions = RuleOptions(),  # noqa: B008 - it is frozen
    skip_missing_audio: bool = False,
    min_score: float | None = None,
) -> Plans:
    """Normalise, name, split and order the utterances of every language; a pure function of its arguments.

    One language at a time is in memory. A language with a missing recording, or without training utterances, is in
    `Plans.failed`.

    Args:
        split_by: `SENTENCE`, `SPEAKER` or `SPEAKER_ONLY`: how utterances without a split are split.
        min_score: leave out utterances whose transcript is known to fit worse than this.

    Raises:
        ShardsError: the text rules are unusable, or the temporary directory is full.
    """
    plans = Plans()
    drops = rows.drops()
    for code in sorted(rows.languages):
        if code in rows.failed:
            plans.failed[code] = rows.failed[code]
            continue
        plan = LanguagePlan(code, load_rules(code, text_rules), drops=drops.get(code, Drops()), split_by=split_by)
        try:
            _plan_language(
                plan,
                rows.of(code),
                dev_fraction,
                test_fraction,
                skip_missing_audio=skip_missing_audio,
                min_score=min_score,
            )
        except SourceError as error:
            plans.failed[code] = error.problem
        else:
            plans.add(plan)
    return plans


class _Recordings:
    """The recordings of a language; each is looked at once.

    `missing`: those that are missing, each with the cause if known, and the first row that names one.
    """

    def __init__(self) -> None:
        self.missing: dict[AudioReference, str] = {}
        self.first_missing: SourceRow | None = None
        self.empty: set[AudioReference] = set()
        self._known: dict[AudioReference, AudioReference] = {}

    def of(self, row: SourceRow) -> AudioReference:
        """Return the row's recording: for all segments of one, the same object."""
        if row.audio in self._known:
            return self._known[row.audio]
        self._known[row.audio] = row.audio
        state = row.audio.check()
        if state.missing is not None:
            self.missing[row.audio] = state.missing
            self.first_missing = self.first_missing or row
        elif state.empty:
            self.empty.add(row.audio)
        return row.audio

    def error(self) -> SourceError | None:
        """Return the error for the missing recordings; None if none is missing."""
        first = self.first_missing
        if first is None:
            return None
        cause = self.missing[first.audio] or ("write paths with /, not with \\" if "\\" in first.name else "")
        where = "; ".join(filter(None, (printable(first.where), cause)))
        missing = counted(len(self.missing), "recording")
        return SourceError(
            f"{missing} missing, the first is {printable(str(first.audio))} ({where})",
            fix="correct the paths, pass --audio-root, or skip missing recordings with --skip-missing-audio",
        )


def _plan_language(
    plan: LanguagePlan,
    rows: Iterable[SourceRow],
    dev_fraction: float,
    test_fraction: float,
    *,
    skip_missing_audio: bool,
    min_score: float | None,
) -> None:
    files = _Recordings()
    normalise = TextNormaliser(plan.rules)
    kept: dict[str, tuple[Candidate, str | None]] = {}
    stretches: dict[tuple[AudioReference, float | None, float | None, int | None], str] = {}
    for row in rows:
        candidate = _candidate(row, files, normalise, plan.drops)
        if candidate is None:
            continue
        if min_score is not None and candidate.align_score is not None and candidate.align_score < min_score:
            plan.drops.add(Drop("low_align_score", candidate.where, f"{candidate.align_score} < {min_score}"))
            continue
        # Compare files too, since a manifest may write one name in two Unicode forms.
        stretch = candidate.audio, candidate.start_seconds, candidate.end_seconds, candidate.channel
        key = candidate.key if candidate.key in kept else stretches.get(stretch)
        if key is None:
            kept[candidate.key] = candidate, row.split
            stretches[stretch] = candidate.key
        else:
            plan.drops.add(Drop("duplicate", candidate.where))
            first, split = kept[key]
            given = [name for name in PRECEDENCE if name in (split, row.split)]
            kept[key] = first, given[0] if given else None  # if either row says test, never train on it
    error = files.error()
    if error is not None and not skip_missing_audio:
        raise error
    _check_one_model({candidate.align_model for candidate, _ in kept.values() if candidate.align_score is not None})
    utterances = [Utterance(candidate.text, candidate.speaker, split) for candidate, split in kept.values()]
    if plan.split_by != SENTENCE:
        own_splits, splits = assign_splits_by_speaker(utterances, dev_fraction, test_fraction)
    else:
        own_splits = [one.split for one in utterances]
        splits = assign_splits([(one.text, one.split) for one in utterances], dev_fraction, test_fraction)
    for (candidate, _), split in zip(kept.values(), own_splits, strict=True):
        assigned = splits[candidate.text]
        if plan.split_by == SPEAKER_ONLY and split is not None:
            plan.candidates[split].append(candidate)
        elif split not in (None, assigned):
            found = f"{candidate.text!r} is in {assigned} and {split}"
            plan.drops.add(Drop("text_in_other_split", candidate.where, found))
        else:
            plan.candidates[assigned].append(candidate)
    for candidates in plan.candidates.values():
        candidates.sort(key=_order)
    if not plan.candidates["train"]:
        raise no_training_utterances(plan.language, plan.drops, held_out=plan.total)


def _check_one_model(models: set[str | None]) -> None:
    if len(models) > 1:
        named = ", ".join(sorted(model or "an unknown one" for model in models))
        raise SourceError(
            f"the scores (align_score) are of {len(models)} models, which cannot be compared: {named}",
            fix="align or check all recordings of the language with one model, or remove the column align_score",
        )


def _order(candidate: Candidate) -> tuple[str, int, int, float, str]:
    """Return the sort key: it depends only on names and mixes speakers.

    Segments of a recording follow one another, and so do the recordings of a block.
    """
    block, position = candidate.audio.neighbours or (candidate.name, 0)
    return digest_of(block), position, candidate.channel or 0, candidate.start_seconds or 0.0, candidate.key


def _candidate(row: SourceRow, files: _Recordings, normalise: TextNormaliser, drops: Drops) -> Candidate | None:
    audio = files.of(row)
    if audio in files.missing:
        drops.add(Drop("missing_audio", row.name))
        return None
    if row.text is None:
        drops.add(Drop("missing_text", row.name, row.detail))
        return None
    if audio in files.empty:
        drops.add(Drop("undecodable", row.name, "the file is empty"))
        return None
    try:
        text = normalise(row.text)
    except Rejected as rejected:
        drops.add(rejected.at(row.name))
        return None
    return Candidate(
        key=utterance_key(row),
        audio=audio,
        name=row.name,
        text=text,
        raw_text=row.text,
        speaker=row.speaker,
        # Drop the folders of an absolute path: they describe the machine, not the recording.
        source=row.source or (Path(row.name).name if Path(row.name).is_absolute() else row.name),
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
        part=row.part,
        channel=row.channel,
        align_score=row.align_score,
        align_model=row.align_model,
        tags={**(row.tags or {}), **tags_of_text(row.text)} or None,
    )
