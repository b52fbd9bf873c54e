"""Utterances that were left out, counted by a named reason, with a few examples of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 160

REASONS = {
    "missing_text": "no transcript beside the recording",
    "missing_audio": "a transcript without its recording (in manifests only with --skip-missing-audio)",
    "unread_format": "a recording of a kind that is not read, as .m4a",
    "row_fields": "a line without the fields that are needed (only with --skip-bad-rows)",
    "row_encoding": "text that is not UTF-8 (only with --skip-bad-rows)",
    "row_json": "a line that is no JSON object, or gives a key twice (only with --skip-bad-rows)",
    "row_value": "a field whose value cannot be used (only with --skip-bad-rows)",
    "incomplete": "no audio or no transcript in the sample",
    "no_sample": "in the tar, but no part of a sample, as a README",
    "broken_text": "JSON or text in the sample that cannot be read",
    "link": "a link in the tar, whose data lie elsewhere",
    "second_audio": "a second recording in a sample, of which one is read",
    "too_large": "more bytes than a sample or a transcript can have",
    "other_language": "the sample says that it is in another language",
    "packed": "an archive that has to be unpacked to a .tar",
    "empty": "nothing to say in the transcript",
    "markup": "brackets in the transcript, as [laughs]",
    "numbers": "digits or numerals that can be read in several ways",
    "unsupported_characters": "symbols in the transcript that are neither letters nor punctuation",
    "duplicate": "the same stretch of the same recording again, or the same clip in another format",
    "text_in_other_split": "its sentence is also in test or dev, by the source's own splits",
    "bad_segment": "start and end do not lie within the recording",
    "undecodable": "the recording cannot be decoded",
    "cut_short": "the recording ends before its container says, or without its end mark",
    "not_finite": "float samples that are NaN or infinite",
    "float_scale": "float samples far outside -1 … 1",
    "sample_rate": "recorded at less than 8 kHz",
    "silent": "every sample is the same",
    "too_short": "shorter than --min-seconds",
    "too_long": "longer than --max-seconds",
    "more_labels_than_frames": "more characters than the model has output frames for CTC",
    "hidden_file": "a hidden or temporary file, as .DS_Store, ._clip.wav (macOS metadata), clip.wav.part",
    "other_file": "a file that is neither a recording nor its transcript clip.txt",
}

# Files that are no utterances. They change nothing in the shards, so that a new one is no reason to build again.
NO_UTTERANCES = ("hidden_file", "other_file")

# What helps where nothing else is left of a language.
FIXES = {
    "missing_text": "write clip.txt beside each clip",
    "missing_audio": "correct the paths or give --audio-root",
    "unread_format": "convert the recordings, as with: ffmpeg -i clip.m4a clip.flac",
    "row_fields": "give every line the fields of the header",
    "row_encoding": "write the manifest as UTF-8",
    "row_json": "write one JSON object a line, each key once",
    "row_value": "correct the values",
    "incomplete": "give every sample audio and a transcript, or name its field with --text-field",
    "no_sample": "name the samples <key>.wav and <key>.txt or .json",
    "broken_text": "write JSON objects and text in UTF-8",
    "link": "write the tar again with 'tar --dereference --hard-dereference'",
    "second_audio": "give each sample one recording",
    "too_large": "cut the samples",
    "other_language": "give each language a folder of its own",
    "packed": "unpack the archives",
    "empty": "give each recording its transcript",
    "markup": "take what is in brackets out of the transcripts",
    "numbers": "spell out the digits, or say how with 'numbers' in --text-rules",
    "unsupported_characters": "write the symbols as words, or say how with 'replace' in --text-rules",
    "duplicate": "give each stretch of a recording once",
    "text_in_other_split": "give each sentence one split",
    "bad_segment": "correct the segments' start and end",
    "undecodable": "give recordings that libsndfile reads",
    "cut_short": "copy or download the recordings again",
    "not_finite": "write the recordings again without NaN and infinite samples",
    "float_scale": "scale float samples to -1 … 1",
    "sample_rate": "give recordings made at 8 kHz or more",
    "silent": "give recordings with sound",
    "too_short": "lower --min-seconds",
    "too_long": "raise --max-seconds or cut the recordings",
    "more_labels_than_frames": "give transcripts of what is said in the recording and no more",
    "hidden_file": "give recordings that are not hidden",
    "other_file": "give recordings with transcripts",
}


class Drops:
    """Counts by reason, in the order of `REASONS`; the first few examples of each are kept."""

    def __init__(self, content: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}
        for reason, entry in (content or {}).items():
            self._counts[reason] = int(entry["count"])
            self._examples[reason] = list(entry["examples"])

    def add(self, reason: str, example: str) -> None:
        """Count one utterance."""
        assert reason in REASONS, reason
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            # Valid text, whatever names of files it holds: it goes into JSON.
            examples.append(example[:_EXAMPLE_CHARACTERS].encode("utf-8", "backslashreplace").decode())

    def merge(self, other: Drops) -> None:
        """Add the counts of `other`."""
        for reason, count in other._counts.items():
            self._counts[reason] = self._counts.get(reason, 0) + count
            self._examples[reason] = (self._examples.get(reason, []) + other._examples[reason])[:_EXAMPLES]

    def __getitem__(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    @property
    def total(self) -> int:
        """All utterances left out."""
        return sum(self._counts.values())

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """`{"<reason>": {"count": n, "examples": [...]}}`."""
        return {
            reason: {"count": self._counts[reason], "examples": self._examples[reason]}
            for reason in REASONS
            if reason in self._counts
        }
