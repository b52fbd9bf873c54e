"""Times of words are measured on words that were read correctly, against those of the synthesiser."""

import itertools
import random
from pathlib import Path

import pytest
import soundfile

from mms_dist.transcription.transcript import Segment, Timed, Transcript
from tools.word_times import SaidWord, errors, join, main, say

WORDS = [SaidWord("una", 0.1, 0.4), SaidWord("mie", 0.4, 0.9), SaidWord("cinci", 1.0, 1.5), SaidWord("mie", 1.6, 2.0)]


def heard(*texts: str) -> Transcript:
    words = tuple(Timed(text, number, number + 0.5, 1.0) for number, text in enumerate(texts))
    return Transcript("x", "ron", 9.0, (Segment(" ".join(texts), 0, 9, words[:2]), Segment("", 0, 9, words[2:])))


def test_only_words_that_were_read_correctly_are_compared() -> None:
    pairs = list(errors(WORDS, heard("una", "mii", "mie")))
    assert [(said.start, word.start) for said, word in pairs] == [(0.1, 0), (1.6, 2)]
    assert [said for said, _ in errors(WORDS, heard("una", "mie", "x", "cinci", "mie"))] == WORDS


def test_the_synthesiser_says_when_each_word_begins_and_ends(tmp_path: Path) -> None:
    words = say("două mii unu", "m1", random.Random(0), tmp_path / "a.wav")
    assert [word.text for word in words] == ["două", "mii", "unu"]
    assert all(first.start < first.end == second.start for first, second in itertools.pairwise(words))
    assert words[0].start < 0.1 and words[-1].end <= soundfile.info(tmp_path / "a.wav").duration


def test_joined_recordings_keep_the_places_of_their_words(tmp_path: Path) -> None:
    truth = {name: say("mii unu", "m1", random.Random(0), tmp_path / name) for name in ("a.wav", "b.wav")}
    path, words = join(tmp_path, truth, seed=0)
    length, duration = soundfile.info(tmp_path / "a.wav").duration, soundfile.info(path).duration
    shift = words[2].start - words[0].start
    assert length + 0.3 <= shift <= length + 1.5 and words[-1].end < duration - 0.3


@pytest.mark.slow
def test_nine_of_ten_word_times_are_within_100_ms(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--steps", "300", "--train", "200", "--test", "40"])
    shares = [
        float(line.split(":")[1].split("%")[0]) for line in capsys.readouterr().out.splitlines() if "within" in line
    ]
    assert len(shares) == 4 and min(shares) >= 90
