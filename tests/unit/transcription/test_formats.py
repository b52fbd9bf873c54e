"""Every format says the same words with the same times."""

import json

from mms_dist.transcription.formats import CUE_CHARACTERS, FORMATS, NAMES_ITS_RECORDING
from mms_dist.transcription.transcript import Segment, Timed, Transcript

WORDS = (Timed("un", 1.0, 1.4, 0.9), Timed("test", 1.5, 2.25, 0.7))
CHARACTERS = tuple(Timed(each, 1.0, 1.1, 0.5) for each in "untest")
LAST = (Timed("da", 3723.5, 3724.0, 1.0),)
SEGMENTS = (Segment("un test", 1.0, 2.25, WORDS, CHARACTERS), Segment("da", 3723.5, 3724.0, LAST))
SAID = Transcript("a b.wav", "ron", 3725.5, SEGMENTS)


def test_text_has_a_line_for_each_segment() -> None:
    assert FORMATS["txt"](SAID, "segment") == "un test\nda\n"
    assert SAID.text == "un test da"


def test_json_has_what_is_asked_for() -> None:
    content = json.loads(FORMATS["json"](SAID, "segment"))
    assert content["text"] == "un test da" and content["seconds"] == 3725.5
    first = content["segments"][0]
    assert first == {"start": 1.0, "end": 2.25, "text": "un test", "confidence": 0.8}
    first = json.loads(FORMATS["json"](SAID, "word"))["segments"][0]
    assert first["words"][1] == {"text": "test", "start": 1.5, "end": 2.25, "confidence": 0.7}
    assert "characters" not in first
    first = json.loads(FORMATS["json"](SAID, "char"))["segments"][0]
    assert "".join(each["text"] for each in first["characters"]) == "untest"


def test_subtitles_have_clock_times() -> None:
    assert FORMATS["srt"](SAID, "segment") == (
        "1\n00:00:01,000 --> 00:00:02,250\nun test\n\n2\n01:02:03,500 --> 01:02:04,000\nda\n\n"
    )
    assert FORMATS["vtt"](SAID, "segment").startswith(
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.250\nun test\n\n01:02:03.500"
    )


def test_long_segments_become_several_subtitles() -> None:
    words = tuple(Timed("cuvinte", 0.2 * number, 0.2 * number + 0.1, 1.0) for number in range(60))
    said = Transcript("a", "ron", 20.0, (Segment(" ".join(word.text for word in words), 0.0, 12.0, words),))
    cues = FORMATS["srt"](said, "segment").strip().split("\n\n")
    assert len(cues) > 4 and all(len(cue.split("\n")[2]) <= CUE_CHARACTERS for cue in cues)
    assert sum(len(cue.split("\n")[2].split()) for cue in cues) == 60


def test_rows_name_their_recording() -> None:
    assert FORMATS["tsv"](SAID, "segment").splitlines()[0] == "a b.wav\t1.000\t2.250\t0.8000\tun test"
    assert FORMATS["tsv"](SAID, "word").splitlines()[1] == "a b.wav\t1.500\t2.250\t0.7000\ttest"
    assert len(FORMATS["tsv"](SAID, "char").splitlines()) == 6
    assert FORMATS["ctm"](SAID, "segment").splitlines()[1] == "a_b.wav 1 1.500 0.750 test 0.7000"
    assert all("b.wav" in FORMATS[name](SAID, "segment") for name in NAMES_ITS_RECORDING)


def test_silence_is_an_empty_transcript() -> None:
    silent = Transcript("a", "ron", 2.0)
    assert {name: FORMATS[name](silent, "word") for name in ("txt", "srt", "tsv", "ctm")} == dict.fromkeys(
        ("txt", "srt", "tsv", "ctm"), ""
    )
