"""Count the utterances that are left out, by a named reason, with a few examples of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shards.errors import Problem, SourceError
from shards.wording import counted

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Reason:
    """Why utterances or files are left out, and what to do if a language has no utterances left because of it."""

    meaning: str
    fix: str


_KEEP_FLAGGED = "leave it out of --drop-flagged, or change its --threshold"

REASONS = {
    "missing_text": Reason("no transcript beside the recording", "write clip.txt beside each clip"),
    "unassigned": Reason(
        "its source has put it in no split, as its transcript is not validated",
        "use all transcribed clips with --split-from all",
    ),
    "missing_audio": Reason(
        "a transcript without its recording (in manifests only with --skip-missing-audio)",
        "correct the paths or pass --audio-root",
    ),
    "unread_format": Reason(
        "a recording in a format that is not read, such as .m4a",
        "pip install 'mms-dist[av]' for M4A, AAC, WebM, AMR, G.722 and video, or convert: ffmpeg -i clip.m4a clip.flac",
    ),
    "row_fields": Reason(
        "a line that lacks required fields (only with --skip-bad-rows)",
        "give every line the fields of the header",
    ),
    "row_encoding": Reason("text that is not UTF-8 (only with --skip-bad-rows)", "save the manifest as UTF-8"),
    "row_json": Reason(
        "a line that is not a JSON object, or repeats a key (only with --skip-bad-rows)",
        "write one JSON object per line, with each key once",
    ),
    "row_value": Reason("a field with an unusable value (only with --skip-bad-rows)", "correct the values"),
    "incomplete": Reason(
        "the sample lacks audio or a transcript",
        "give every sample audio and a transcript, or name its field with --text-field",
    ),
    "no_sample": Reason(
        "a tar member that does not belong to a sample, such as a README",
        "name the samples <key>.wav and <key>.txt or .json",
    ),
    "broken_text": Reason("unreadable JSON or text in the sample", "write valid JSON objects, and text in UTF-8"),
    "link": Reason(
        "a link in the tar, whose data is stored elsewhere",
        "recreate the tar with 'tar --dereference --hard-dereference'",
    ),
    "second_audio": Reason("a second recording in a sample; only one is read", "keep one recording per sample"),
    "too_large": Reason("the sample or its transcript has too many bytes", "cut the samples into shorter ones"),
    "other_language": Reason("the sample says that it is in another language", "give each language its own folder"),
    "packed": Reason("an archive that has to be unpacked to a .tar", "unpack the archives"),
    "empty": Reason("no words in the transcript", "give each recording a transcript"),
    "markup": Reason(
        "brackets in the transcript, such as [laughs] (--markup remove keeps the rest)",
        "use such transcripts without the brackets: --markup remove",
    ),
    "numbers": Reason(
        "digits or numerals that can be read in several ways",
        "spell out the numbers, or set 'numbers' in --text-rules",
    ),
    "unsupported_characters": Reason(
        "symbols in the transcript that are neither letters nor punctuation",
        "write the symbols as words, or set 'replace' in --text-rules",
    ),
    "duplicate": Reason(
        "the same segment of the same recording again, or the same clip in another format",
        "list each segment of a recording once",
    ),
    "text_in_other_split": Reason(
        "the source has the same sentence in test or dev too",
        "put each sentence into one split only",
    ),
    "bad_segment": Reason("start and end are not within the recording", "correct the start and end of the segments"),
    "no_channel": Reason("the recording lacks the channel asked for", "correct the number of the channel"),
    "undecodable": Reason("the recording cannot be decoded", "use recordings that libsndfile or PyAV can read"),
    "cut_short": Reason(
        "the recording ends before its declared length, or without its end mark",
        "copy or download the recordings again",
    ),
    "not_finite": Reason(
        "float samples that are NaN or infinite",
        "write the recordings again without NaN and infinite samples",
    ),
    "float_scale": Reason("float samples far outside -1 … 1", "scale float samples to -1 … 1"),
    "sample_rate": Reason("recorded at less than 8 kHz", "use recordings with a sample rate of 8 kHz or more"),
    "silent": Reason("every sample is the same", "use recordings that are not silent"),
    "too_short": Reason("shorter than --min-seconds", "lower --min-seconds"),
    "too_long": Reason("longer than --max-seconds", "raise --max-seconds or cut the recordings"),
    "more_labels_than_frames": Reason(
        "more characters than the model has output frames for CTC",
        "make the transcripts match what is said in the recordings",
    ),
    "low_align_score": Reason(
        "the transcript fits the audio worse than --min-score",
        "correct the transcripts, or lower --min-score",
    ),
    "near_duplicate_audio": Reason("a copy of a recording (--drop-flagged)", _KEEP_FLAGGED),
    "near_duplicate_text": Reason("nearly the text of another utterance (--drop-flagged)", _KEEP_FLAGGED),
    "clipped": Reason("recorded too loud, its wave is cut off (--drop-flagged)", _KEEP_FLAGGED),
    "mostly_silent": Reason("little of the recording is speech (--drop-flagged)", _KEEP_FLAGGED),
    "unexpected_script": Reason("the text is in another script (--drop-flagged)", _KEEP_FLAGGED),
    "unusual_speaking_rate": Reason("far more or fewer characters a second (--drop-flagged)", _KEEP_FLAGGED),
    "unusual_loudness": Reason("far louder or quieter than usual (--drop-flagged)", _KEEP_FLAGGED),
    "unusual_align_score": Reason("the transcript fits far worse than usual (--drop-flagged)", _KEEP_FLAGGED),
    "hidden_file": Reason(
        "a hidden or temporary file, such as .DS_Store, ._clip.wav (macOS metadata), clip.wav.part",
        "add recordings that are not hidden",
    ),
    "other_file": Reason(
        "a file that is neither a recording nor its transcript clip.txt",
        "add recordings with transcripts",
    ),
}

NO_UTTERANCES = ("hidden_file", "other_file")
"""Files that are not utterances. They do not affect the shards, so a new one does not cause a rebuild."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Something that is left out: `reason` is one of `REASONS`, and `found` and `fix` say more about what is there."""

    reason: str
    where: str
    found: str = ""
    fix: str | None = None

    @property
    def example(self) -> str:
        """The form in which an index stores it."""
        detail = str(Problem(self.found, self.fix))
        return f"{self.where}: {detail}" if detail else self.where


class Rejected(Exception):
    """An utterance cannot be used for training. `reason` is the name it is counted by (`REASONS`)."""

    def __init__(self, reason: str, found: str, fix: str | None = None) -> None:
        super().__init__(reason, found, fix)  # unpickling calls the class with these arguments
        self.reason = reason
        self.found = found
        self.fix = fix

    def at(self, where: str) -> Drop:
        """Return what is left out for this, at a place in the source or in a tar."""
        return Drop(self.reason, where, self.found, self.fix)

    @property
    def problem(self) -> Problem:
        """The reason and what was found, and the fix."""
        return Problem(f"{self.reason}: {self.found}", self.fix)

    def __str__(self) -> str:
        return str(self.problem)


class Drops:
    """Counts by reason, in the order of `REASONS`, with the first few examples of each."""

    def __init__(self, content: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}
        for reason, entry in (content or {}).items():
            self._counts[reason] = int(entry["count"])
            self._examples[reason] = list(entry["examples"])

    def add(self, drop: Drop) -> None:
        """Count one utterance or file."""
        assert drop.reason in REASONS, drop.reason
        self._counts[drop.reason] = self._counts.get(drop.reason, 0) + 1
        examples = self._examples.setdefault(drop.reason, [])
        if len(examples) < _EXAMPLES:
            # Examples go into JSON, so file names in them that are not valid text are escaped.
            examples.append(drop.example[:_EXAMPLE_CHARACTERS].encode("utf-8", "backslashreplace").decode())

    def merge(self, other: Drops) -> None:
        """Add the counts of `other`."""
        for reason, count in other._counts.items():
            self._counts[reason] = self._counts.get(reason, 0) + count
            self._examples[reason] = (self._examples.get(reason, []) + other._examples[reason])[:_EXAMPLES]

    def __getitem__(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    @property
    def total(self) -> int:
        """Number of all utterances left out."""
        return sum(self._counts.values())

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return `{"<reason>": {"count": n, "examples": [...]}}`."""
        return {
            reason: {"count": self._counts[reason], "examples": self._examples[reason]}
            for reason in REASONS
            if reason in self._counts
        }


def no_training_utterances(language: str, drops: Drops, *, held_out: int) -> SourceError:
    """Return the error for a language without training utterances; `held_out` counts those in dev and test."""
    found = {reason: entry for reason, entry in drops.as_dict().items() if reason not in NO_UTTERANCES}
    reasons = ", ".join(f"{entry['count']} {reason} (e.g. {entry['examples'][0]})" for reason, entry in found.items())
    fixes = [REASONS[reason].fix for reason in found]
    if held_out:
        fixes.append(f"move some of the {counted(held_out, 'utterance')} of dev and test to train")
    problem = f"no training utterances left in {language}: left out {reasons or 'none'}"
    return SourceError(problem, ", ".join(fixes) or "add recordings with transcripts")
