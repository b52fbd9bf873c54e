"""Read the text of a recording: plain lines, or lines with rough times as SRT, WebVTT or tab-separated labels."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from mms_dist.alignment.passage import Line
from mms_dist.errors import DataError
from mms_dist.files import UnreadableFileError, read_text

SUFFIXES = (".srt", ".vtt", ".txt")
"""Of texts, the first that lies beside a recording is read."""
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2}[.,]\d{1,3})"
_CUE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_LABEL = re.compile(r"(\d+(?:\.\d+)?)\t(\d+(?:\.\d+)?)\t(.*)")
_TAG = re.compile(r"<[^<>]*>")


def read_lines(path: Path) -> tuple[Line, ...]:
    """Return the lines of a text, without empty ones.

    Raises:
        DataError: it cannot be read, or has no text.
    """
    try:
        text = read_text(path)
    except UnreadableFileError as error:
        raise DataError(f"{path} cannot be read: {error.found}", error.fix) from error
    lines = tuple(_cues(text) if path.suffix.lower() in (".srt", ".vtt") else _plain(text))
    if not lines:
        raise DataError(f"{path} has no text", fix="write what is said in the recording, a sentence in each line")
    return lines


def _plain(text: str) -> Iterator[Line]:
    """Yield plain lines, or those of a label track: start, end and text, separated by tabs."""
    lines = [line for line in text.splitlines() if line.strip()]
    labels = [_LABEL.fullmatch(line) for line in lines]
    if all(labels):
        yield from (Line(found[3], float(found[1]), float(found[2])) for found in labels if found)
    else:
        yield from map(Line, lines)


def _cues(text: str) -> Iterator[Line]:
    """Yield the cues of subtitles; what is before the first is a header."""
    cue: re.Match[str] | None = None
    said: list[str] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        found = _CUE.match(line)
        # In front of the times there may be the cue's number or name.
        names_next = bool(number + 1 < len(lines) and _CUE.match(lines[number + 1]))
        if found or not line.strip() or (names_next and (number == 0 or not lines[number - 1].strip())):
            if cue and said:
                yield _cue(cue, said)
                said = []
            cue = found if found else (None if not line.strip() or names_next else cue)
        elif cue:
            said.append(line.strip())
    if cue and said:
        yield _cue(cue, said)


def _cue(times: re.Match[str], said: list[str]) -> Line:
    start, end = _seconds(times, 1), _seconds(times, 4)
    return Line(html.unescape(_TAG.sub(" ", " ".join(said))), start, end)


def _seconds(times: re.Match[str], first: int) -> float:
    hours, minutes, seconds = times[first], times[first + 1], times[first + 2]
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
