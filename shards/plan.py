"""From the rows of a source to the utterances of each language and split, before anything is decoded."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shards.drops import FIXES, NO_UTTERANCES, Drops
from shards.errors import SourceError
from shards.file_names import printable
from shards.schema import SPLITS
from shards.source_rows import SourceRow, SourceRows
from shards.text import Rejected, TextNormaliser
from shards.text_rules import TextRules, load_rules
from shards.wording import counted

_SLUG_CHARACTERS = 40
# A sentence that a source puts into several splits stays in the first of these.
PRECEDENCE = ("test", "dev", "train")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An utterance that passed every check that needs no audio."""

    key: str
    audio: Path
    name: str
    text: str
    raw_text: str
    speaker: str | None
    source: str | None
    start_seconds: float | None
    end_seconds: float | None

    @property
    def where(self) -> str:
        """For messages: the recording, and the segment if it is one."""
        if self.start_seconds is None and self.end_seconds is None:
            return self.name
        return f"{self.name} [{self.start_seconds or 0} … {'end' if self.end_seconds is None else self.end_seconds} s]"


@dataclass(slots=True)
class LanguagePlan:
    """What is to be decoded for one language, in the order in which it will lie in the shards."""

    language: str
    rules: TextRules
    candidates: dict[str, list[Candidate]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    drops: Drops = field(default_factory=Drops)

    @property
    def total(self) -> int:
        """Utterances of all splits."""
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
        SourceError: if a recording is missing, or a language has no training utterance left.
    """
    by_language: dict[str, list[SourceRow]] = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    left_out = rows.drops() if isinstance(rows, SourceRows) else {}
    files = _Files(row.audio for rows in by_language.values() for row in rows)
    if files.missing and not skip_missing_audio:
        first = next(row for rows in by_language.values() for row in rows if row.audio in files.missing)
        where = printable(first.where) + _instead_of(first, files.missing[first.audio])
        missing = counted(len(files.missing), "recording")
        raise SourceError(
            f"{missing} missing, the first is {printable(str(first.audio))} ({where})",
            fix="correct the paths, give --audio-root, or leave out what is missing with --skip-missing-audio",
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


def no_training_utterances(language: str, drops: Drops, *, held_out: int) -> SourceError:
    """The error for a language in which nothing is left to train on, but `held_out` utterances in dev and test."""
    found = {reason: entry for reason, entry in drops.as_dict().items() if reason not in NO_UTTERANCES}
    reasons = ", ".join(f"{entry['count']} {reason} (as {entry['examples'][0]})" for reason, entry in found.items())
    fixes = [FIXES[reason] for reason in found]
    if held_out:
        fixes.append(f"put some of the {counted(held_out, 'utterance')} of dev and test into train")
    left = f"no training utterances left in {language}: left out {reasons or 'none'}"
    return SourceError(left, ", ".join(fixes) or "give recordings with transcripts")


class _Files:
    """Which recordings are not there, with what is known of them, and which have no bytes."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.missing: dict[Path, str] = {}
        self.empty: set[Path] = set()
        for path in set(paths):
            try:
                found = path.stat()
            except FileNotFoundError:
                self.missing[path] = ""
            except (OSError, ValueError) as error:  # ValueError: no file can have this name
                self.missing[path] = getattr(error, "strerror", None) or str(error)
            else:
                if stat.S_ISDIR(found.st_mode):
                    self.missing[path] = "it is a folder"
                elif not stat.S_ISREG(found.st_mode):
                    self.missing[path] = "it is no ordinary file"
                elif not found.st_size:
                    self.empty.add(path)


def _instead_of(row: SourceRow, found: str) -> str:
    """What is there instead of a missing recording, for its message."""
    if not found and os.path.islink(row.audio):
        found = f"it is a link to {printable(os.readlink(row.audio))}"
    if not found and "\\" in row.name:
        found = "write paths with / and not with \\"
    return f"; {found}" if found else ""


def _plan_language(
    plan: LanguagePlan, rows: Sequence[SourceRow], files: _Files, dev_fraction: float, test_fraction: float
) -> LanguagePlan:
    normalise = TextNormaliser(plan.rules)
    kept: dict[str, tuple[Candidate, str | None]] = {}
    stretches: dict[tuple[Path, float | None, float | None], str] = {}
    for row in rows:
        candidate = _candidate(row, files, normalise, plan.drops)
        if candidate is None:
            continue
        # By its file as well: a manifest may write one name in two forms of Unicode.
        stretch = candidate.audio, candidate.start_seconds, candidate.end_seconds
        key = candidate.key if candidate.key in kept else stretches.get(stretch)
        if key is None:
            kept[candidate.key] = candidate, row.split
            stretches[stretch] = candidate.key
        else:
            plan.drops.add("duplicate", candidate.where)
            first, split = kept[key]
            given = [name for name in PRECEDENCE if name in (split, row.split)]
            kept[key] = first, given[0] if given else None  # what is once given to test is never trained on
    splits = assign_splits([(candidate.text, split) for candidate, split in kept.values()], dev_fraction, test_fraction)
    for candidate, split in kept.values():
        assigned = splits[candidate.text]
        if split not in (None, assigned):
            plan.drops.add("text_in_other_split", f"{candidate.where}: {candidate.text!r} is in {assigned} and {split}")
        else:
            plan.candidates[assigned].append(candidate)
    for candidates in plan.candidates.values():
        # Recordings in an order that depends on their names alone and mixes speakers; segments one after another.
        candidates.sort(key=lambda candidate: (_digest(candidate.name), candidate.start_seconds or 0.0, candidate.key))
    return plan


def _candidate(row: SourceRow, files: _Files, normalise: TextNormaliser, drops: Drops) -> Candidate | None:
    if row.audio in files.missing:
        drops.add("missing_audio", row.name)
        return None
    if row.text is None:
        drops.add("missing_text", f"{row.name}: {row.detail}" if row.detail else row.name)
        return None
    if row.audio in files.empty:
        drops.add("undecodable", f"{row.name}: the file is empty")
        return None
    try:
        text = normalise(row.text)
    except Rejected as rejected:
        drops.add(rejected.reason, f"{row.name}: {rejected.detail}")
        return None
    return Candidate(
        key=utterance_key(row),
        audio=row.audio,
        name=row.name,
        text=text,
        raw_text=row.text,
        speaker=row.speaker,
        # An absolute path says more about the machine than about the recording.
        source=row.source or (Path(row.name).name if Path(row.name).is_absolute() else row.name),
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
    )


def utterance_key(row: SourceRow) -> str:
    """A name that stays the same however the source grows, and is a valid file name everywhere.

    The recording's own name for people, and a digest of recording and segment to tell all apart. No dot, since
    webdataset ends the key there; no capital, since some file systems fold them.
    """
    plain = unicodedata.normalize("NFKD", Path(row.name).stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_SLUG_CHARACTERS] or "utterance"
    return f"{slug}-{_digest(f'{row.language}|{row.name}|{row.start_seconds}|{row.end_seconds}')}"


def assign_splits(texts: Sequence[tuple[str, str | None]], dev_fraction: float, test_fraction: float) -> dict[str, str]:
    """The split of every distinct text, given `(text, split or None)` pairs: no sentence is in two.

    A text with given splits gets the first of test, dev, train among them; the others are placed by a hash of the text
    alone, so that a growing corpus never moves one. If a wanted split would be empty, the text with the nearest hash
    goes there; train never is, as long as a text is free.
    """
    given: dict[str, set[str]] = defaultdict(set)
    for text, split in texts:
        given[text].update([split] if split else [])
    splits = {text: min(found, key=PRECEDENCE.index) for text, found in given.items() if found}
    free = sorted((_fraction(text), text) for text, found in given.items() if not found)
    for fraction, text in free:
        in_held_out = "test" if fraction < test_fraction else "dev"
        splits[text] = in_held_out if fraction < test_fraction + dev_fraction else "train"
    if free and "train" not in splits.values():
        splits[free[-1][1]] = "train"
    for split, wanted, start in (("test", test_fraction, 0.0), ("dev", dev_fraction, test_fraction)):
        movable = [(abs(fraction - start), text) for fraction, text in free if splits[text] == "train"]
        if wanted > 0 and len(movable) > 1 and split not in splits.values():
            splits[min(movable)[1]] = split
    return splits


def _fraction(text: str) -> float:
    """A number in [0, 1) from the text alone."""
    return (
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b"mms-dist split").digest(), "big") / 2**64
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
