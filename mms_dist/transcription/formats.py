"""Write a transcript as text, JSON, subtitles (srt, vtt), tab-separated rows or CTM."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from mms_dist.transcription.transcript import Segment, Timed, Transcript

Timestamps = Literal["segment", "word", "char"]

CUE_CHARACTERS, CUE_SECONDS = 84, 7.0
"""Most text and time of one subtitle: two lines of 42 characters, as broadcasters have it."""


def as_text(transcript: Transcript, timestamps: Timestamps) -> str:
    """A line for each segment."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def as_json(transcript: Transcript, timestamps: Timestamps) -> str:
    """One object in one line, so that those of many recordings can follow each other (JSON Lines)."""
    content: dict[str, Any] = {
        "audio": transcript.name,
        "language": transcript.language,
        **({} if transcript.probability is None else {"language_probability": round(transcript.probability, 4)}),
        "seconds": round(transcript.seconds, 3),
        "text": transcript.text,
        "segments": [_segment(segment, timestamps) for segment in transcript.segments],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def _segment(segment: Segment, timestamps: Timestamps) -> dict[str, Any]:
    content: dict[str, Any] = {
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "confidence": round(segment.confidence, 4),
    }
    if timestamps != "segment":
        content["words"] = [asdict(word) for word in segment.words]
    if timestamps == "char":
        content["characters"] = [asdict(character) for character in segment.characters]
    return content


def as_srt(transcript: Transcript, timestamps: Timestamps) -> str:
    """SubRip subtitles."""
    cues = enumerate(_cues(transcript.segments, ","), start=1)
    return "".join(f"{number}\n{cue}\n" for number, cue in cues)


def as_vtt(transcript: Transcript, timestamps: Timestamps) -> str:
    """WebVTT subtitles."""
    return "WEBVTT\n\n" + "".join(f"{cue}\n" for cue in _cues(transcript.segments, "."))


def as_tsv(transcript: Transcript, timestamps: Timestamps) -> str:
    """Rows of recording, start, end, confidence and text: one a segment, word or character."""
    rows = [
        f"{transcript.name}\t{each.start:.3f}\t{each.end:.3f}\t{each.confidence:.4f}\t{each.text}\n"
        for segment in transcript.segments
        for each in _units(segment, timestamps)
    ]
    return "".join(rows)


def as_ctm(transcript: Transcript, timestamps: Timestamps) -> str:
    """NIST's CTM: recording, channel, start, duration, word, confidence."""
    name = "_".join(transcript.name.split())
    return "".join(
        f"{name} 1 {word.start:.3f} {word.end - word.start:.3f} {word.text} {word.confidence:.4f}\n"
        for segment in transcript.segments
        for word in segment.words
    )


FORMATS: dict[str, Callable[[Transcript, Timestamps], str]] = {
    "txt": as_text,
    "json": as_json,
    "srt": as_srt,
    "vtt": as_vtt,
    "tsv": as_tsv,
    "ctm": as_ctm,
}
NAMES_ITS_RECORDING = ("json", "tsv", "ctm")
"""Formats in which those of several recordings can follow each other."""


def _units(segment: Segment, timestamps: Timestamps) -> Sequence[Segment | Timed]:
    units: dict[Timestamps, Sequence[Segment | Timed]] = {
        "segment": (segment,),
        "word": segment.words,
        "char": segment.characters,
    }
    return units[timestamps]


def _cues(segments: Sequence[Segment], point: str) -> Iterator[str]:
    """Yield subtitles: times, text, and the line end after it."""
    for segment in segments:
        cue: list[Timed] = []
        for word in segment.words:
            length = sum(len(each.text) + 1 for each in cue) + len(word.text)
            if cue and (length > CUE_CHARACTERS or word.end - cue[0].start > CUE_SECONDS):
                yield _cue(cue, point)
                cue = []
            cue.append(word)
        yield _cue(cue, point)


def _cue(words: Sequence[Timed], point: str) -> str:
    times = f"{_clock(words[0].start, point)} --> {_clock(words[-1].end, point)}"
    return f"{times}\n{' '.join(word.text for word in words)}\n"


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
