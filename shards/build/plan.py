"""Plan a build: from the rows of a source to the utterances of each language and split, without decoding."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shards.drops import Drop, Drops, Rejected, no_training_utterances
from shards.errors import SourceError
from shards.sources.audio_reference import AudioReference
from shards.sources.rows import SourceRow, SourceRows
from shards.splits import PRECEDENCE, SPLITS, assign_splits
from shards.text.normaliser import TextNormaliser
from shards.text_rules import TextRules, load_rules
from shards.wording import counted, printable

_SLUG_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """An utterance that passed all checks that do not need the audio."""

    key: str
    audio: AudioReference
    name: str
    text: str
    raw_text: str
    speaker: str | None
    source: str | None
    start_seconds: float | None
    end_seconds: float | None
    tags: Mapping[str, str] | None = None

    @property
    def where(self) -> str:
        """For messages: the recording, and the segment if there is one."""
        if self.start_seconds is None and self.end_seconds is None:
            return self.name
        return f"{self.name} [{self.start_seconds or 0} … {'end' if self.end_seconds is None else self.end_seconds} s]"


@dataclass(slots=True)
class LanguagePlan:
    """The utterances to decode for one language, in the order of the shards."""

    language: str
    rules: TextRules
    candidates: dict[str, list[Candidate]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    drops: Drops = field(default_factory=Drops)

    @property
    def total(self) -> int:
        """Number of utterances in all splits."""
        return sum(map(len, self.candidates.values()))


def plan_languages(
    rows: Iterable[SourceRow],
    *,
    dev_fraction: float,
    test_fraction: float,
    text_rules: Path | None = None,
    skip_missing_audio: bool = False,
) -> list[LanguagePlan]:
    """Normalise, name, split and order the utterances of every language; a pure function of its arguments.

    Raises:
        SourceError: a recording is missing, or a language has no training utterances left.
    """
    by_language: dict[str, list[SourceRow]] = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    left_out = rows.drops() if isinstance(rows, SourceRows) else {}
    files = _Recordings(row.audio for rows in by_language.values() for row in rows)
    if files.missing and not skip_missing_audio:
        first = next(row for rows in by_language.values() for row in rows if row.audio in files.missing)
        cause = files.missing[first.audio] or ("write paths with /, not with \\" if "\\" in first.name else "")
        where = "; ".join(filter(None, (printable(first.where), cause)))
        missing = counted(len(files.missing), "recording")
        raise SourceError(
            f"{missing} missing, the first is {printable(str(first.audio))} ({where})",
            fix="correct the paths, pass --audio-root, or skip missing recordings with --skip-missing-audio",
        )
    languages = by_language.keys() | {language for language in left_out if language}
    plans = [
        _plan_language(
            LanguagePlan(code, load_rules(code, text_rules), drops=left_out.get(code, Drops())),
            by_language[code],
            files,
            dev_fraction,
            test_fraction,
        )
        for code in sorted(languages)
    ]
    for plan in plans:
        if not plan.candidates["train"]:
            raise no_training_utterances(plan.language, plan.drops, held_out=plan.total)
    return plans


class _Recordings:
    """The recordings that are missing, each with the cause if known, and those that are empty."""

    def __init__(self, references: Iterable[AudioReference]) -> None:
        self.missing: dict[AudioReference, str] = {}
        self.empty: set[AudioReference] = set()
        for reference in set(references):
            state = reference.check()
            if state.missing is not None:
                self.missing[reference] = state.missing
            elif state.empty:
                self.empty.add(reference)


def _plan_language(
    plan: LanguagePlan, rows: Sequence[SourceRow], files: _Recordings, dev_fraction: float, test_fraction: float
) -> LanguagePlan:
    normalise = TextNormaliser(plan.rules)
    kept: dict[str, tuple[Candidate, str | None]] = {}
    stretches: dict[tuple[AudioReference, float | None, float | None], str] = {}
    for row in rows:
        candidate = _candidate(row, files, normalise, plan.drops)
        if candidate is None:
            continue
        # Compare files too, since a manifest may write one name in two Unicode forms.
        stretch = candidate.audio, candidate.start_seconds, candidate.end_seconds
        key = candidate.key if candidate.key in kept else stretches.get(stretch)
        if key is None:
            kept[candidate.key] = candidate, row.split
            stretches[stretch] = candidate.key
        else:
            plan.drops.add(Drop("duplicate", candidate.where))
            first, split = kept[key]
            given = [name for name in PRECEDENCE if name in (split, row.split)]
            kept[key] = first, given[0] if given else None  # if either row says test, never train on it
    splits = assign_splits([(candidate.text, split) for candidate, split in kept.values()], dev_fraction, test_fraction)
    for candidate, split in kept.values():
        assigned = splits[candidate.text]
        if split not in (None, assigned):
            found = f"{candidate.text!r} is in {assigned} and {split}"
            plan.drops.add(Drop("text_in_other_split", candidate.where, found))
        else:
            plan.candidates[assigned].append(candidate)
    for candidates in plan.candidates.values():
        # The order of recordings depends only on their names and mixes speakers. Segments follow one another.
        candidates.sort(key=lambda candidate: (_digest(candidate.name), candidate.start_seconds or 0.0, candidate.key))
    return plan


def _candidate(row: SourceRow, files: _Recordings, normalise: TextNormaliser, drops: Drops) -> Candidate | None:
    if row.audio in files.missing:
        drops.add(Drop("missing_audio", row.name))
        return None
    if row.text is None:
        drops.add(Drop("missing_text", row.name, row.detail))
        return None
    if row.audio in files.empty:
        drops.add(Drop("undecodable", row.name, "the file is empty"))
        return None
    try:
        text = normalise(row.text)
    except Rejected as rejected:
        drops.add(rejected.at(row.name))
        return None
    return Candidate(
        key=utterance_key(row),
        audio=row.audio,
        name=row.name,
        text=text,
        raw_text=row.text,
        speaker=row.speaker,
        # Drop the folders of an absolute path: they describe the machine, not the recording.
        source=row.source or (Path(row.name).name if Path(row.name).is_absolute() else row.name),
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
        tags=row.tags,
    )


def utterance_key(row: SourceRow) -> str:
    """Return a key that does not change when the source grows, and is a valid file name on every system.

    It is the recording's name, for readability, and a hash of recording and segment, for uniqueness. It has no dot,
    since webdataset ends the key there, and no capitals, since some file systems ignore case.
    """
    plain = unicodedata.normalize("NFKD", Path(row.name).stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_SLUG_CHARACTERS] or "utterance"
    return f"{slug}-{_digest(f'{row.language}|{row.name}|{row.start_seconds}|{row.end_seconds}')}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
