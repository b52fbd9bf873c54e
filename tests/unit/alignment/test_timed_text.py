"""Texts of recordings: plain lines, label tracks and subtitles."""

from pathlib import Path

import pytest

from mms_dist.alignment.passage import Line
from mms_dist.alignment.timed_text import read_lines
from mms_dist.errors import DataError

SRT = """\
1
00:00:01,500 --> 00:00:03,000
First <i>line</i>
of two

2
00:01:00,000 --> 01:00:02,250
Second &amp; last
"""
VTT = """\
WEBVTT

NOTE a remark

intro
00:01.500 --> 00:03.000 align:start
First <i>line</i>
of two

01:00.000 --> 01:00:02.250
Second &amp; last
"""


@pytest.mark.parametrize(("name", "text"), [("talk.srt", SRT), ("talk.vtt", VTT)])
def test_subtitles_are_lines_with_times(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    first, second = read_lines(tmp_path / name)
    assert (first.text.split(), first.start, first.end) == (["First", "line", "of", "two"], 1.5, 3.0)
    assert second == Line("Second & last", 60.0, 3602.25)


def test_plain_text_has_a_line_for_each_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("One.\n\n  \nTwo.\n", encoding="utf-8-sig")
    assert read_lines(tmp_path / "talk.txt") == (Line("One."), Line("Two."))


def test_a_label_track_has_times(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("0.0\t2.5\tOne\n2.5\t4\tTwo\n", encoding="utf-8")
    assert read_lines(tmp_path / "talk.txt") == (Line("One", 0.0, 2.5), Line("Two", 2.5, 4.0))


def test_an_empty_or_broken_text_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for name in ("empty.txt", "latin.txt", "absent.txt"):
        with pytest.raises(DataError, match=name):
            read_lines(tmp_path / name)
