"""`mms-dist transcribe` writes what evaluation and Hugging Face write for the same audio, in any order and company."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from mms_dist import evaluate, transcribe
from mms_dist.errors import MmsDistError
from mms_dist.language_model.arpa import write_arpa
from mms_dist.language_model.kneser_ney import train as train_model
from mms_dist.transcription import word_confidence
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards
from tests.training import toy_config, train
from tools import confidences, joined_recordings, search_check

PEAKS = """
import json, resource, sys
from mms_dist import transcribe
found = []
for path in sys.argv[2:]:
    (transcript,) = transcribe(sys.argv[1], path, language="taa")
    found.append((len(transcript.segments), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
print(json.dumps(found))
"""
"""Segments, and the peak so far in KiB."""


@pytest.fixture(scope="module")
def folder(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run`, its `export`, `shards`, and the dev recordings as files: `talks/<language>/<number>.wav`."""
    folder = tmp_path_factory.mktemp("transcribe")
    shards = build_toy_shards(folder, languages=2, train=12, dev=6, test=3)
    config = toy_config(folder / "run", small_base, shards, optim={"steps": 80, "lr": 1e-2})
    assert train(config) == "finished"
    assert main(["export", str(folder / "run"), "--to", str(folder / "export")]) == 0
    assert main(["lm", "build", str(shards), "--unit", "char", "--order", "3"]) == 0
    reader = ShardReader(ShardIndex.load(str(shards)))
    for language in ("taa", "tab"):
        (folder / "talks" / language).mkdir(parents=True)
        for row in range(6):
            audio = reader.read(language, "dev", row).audio
            soundfile.write(folder / "talks" / language / f"{row}.wav", audio, SAMPLE_RATE)
    (folder / "list.tsv").write_text(
        "".join(f"talks/{language}/{row}.wav\t{language}\n" for row in range(6) for language in ("taa", "tab"))
    )
    return folder


def texts(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["transcribe", *arguments, "--format", "json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("model", ["run", "export"])
def test_a_mixed_list_gives_the_texts_of_evaluation(
    folder: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {
        language: result.transcription.hypotheses
        for language, result in evaluate(folder / "run", pointer="best").items()
    }
    found = texts(capsys, str(folder / model), "--list", str(folder / "list.tsv"))
    for language in ("taa", "tab"):
        assert [entry["text"] for entry in found if entry["language"] == language] == expected[language]
    assert any(entry["text"] for entry in found)


def test_a_language_model_gives_the_texts_of_evaluation_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = str(folder / "shards")
    expected = evaluate(folder / "run", pointer="best", lm=shards)["taa"].transcription.hypotheses
    found = texts(capsys, str(folder / "run"), str(folder / "talks" / "taa"), "--lang", "taa", "--lm", shards)
    assert [entry["text"] for entry in found] == expected


def test_a_run_whose_decoder_is_beam_search_is_transcribed_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards, talks = str(folder / "shards"), folder / "talks" / "taa"
    model = ["--evaluation.language_model", shards]
    searched = ["--evaluation.decoder", "beam_search", *model, "--evaluation.lm_alpha", "0.9"]
    command = [str(folder / "run"), str(talks), "--lang", "taa"]
    expected = texts(capsys, *command, "--lm", shards, "--evaluation.lm_alpha", "0.9")
    assert texts(capsys, *command, *searched) == expected != texts(capsys, *command)
    heard: list[float] = []
    found = list(transcribe(folder / "run", talks, language="taa", settings=searched, on_audio=heard.append))
    assert [each.text for each in found] == [entry["text"] for entry in expected]
    assert sum(heard) == pytest.approx(sum(each.seconds for each in found), abs=0.02 * len(found))
    assert main(["transcribe", *command, *model]) == 2
    assert "but evaluation.decoder is greedy" in capsys.readouterr().err


def test_the_python_function_raises_before_it_is_iterated(folder: Path) -> None:
    for place in (folder / "none", folder / "talks"):
        with pytest.raises(MmsDistError):
            transcribe(place, folder / "talks" / "taa" / "0.wav", language="taa")
    with pytest.raises(MmsDistError, match="does not exist"):
        transcribe(folder / "run", folder / "none.wav", language="taa")


def test_hugging_face_gives_the_same_greedy_text(folder: Path) -> None:
    import torch
    from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

    place = str(folder / "export")
    processor = Wav2Vec2Processor.from_pretrained(place, target_lang="tab")
    model = Wav2Vec2ForCTC.from_pretrained(place, target_lang="tab", ignore_mismatched_sizes=True).eval()
    for transcript in transcribe(place, folder / "talks" / "tab", language="tab"):
        audio, rate = soundfile.read(folder / "talks" / "tab" / transcript.name, dtype="float32")
        inputs = processor(audio, sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            ids = model(**inputs).logits.argmax(-1)[0]
        assert transcript.text == processor.decode(ids)


def test_the_likelier_language_is_chosen_for_each_recording(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talks = str(folder / "talks")
    found = texts(capsys, str(folder / "run"), talks, "--lang", "taa,tab")
    right = [entry["audio"].startswith(entry["language"]) for entry in found]
    assert len(right) == 12 and sum(right) >= 11
    assert all(0.5 <= entry["language_probability"] <= 1 for entry in found)
    assert main(["transcribe", str(folder / "export"), talks, "--lang", "taa,tab"]) == 2
    assert "--calibrate-on SHARDS" in capsys.readouterr().err
    with_shards = ["--lang", "taa,tab", "--calibrate-on", str(folder / "shards")]
    assert [entry["language"] for entry in texts(capsys, str(folder / "export"), talks, *with_shards)] == [
        entry["language"] for entry in found
    ]


def test_confidences_are_calibrated_on_dev_if_it_has_enough_words(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, talks, shards = str(folder / "export"), str(folder / "talks" / "taa"), str(folder / "shards")
    plain = texts(capsys, model, talks, "--lang", "taa")
    flags = ["--lang", "taa", "--calibrate-on", shards]
    assert main(["transcribe", model, talks, *flags]) == 0
    assert "taa: confidences are not calibrated, as" in capsys.readouterr().err
    assert texts(capsys, model, talks, *flags) == plain
    monkeypatch.setattr(word_confidence, "LEAST_WORDS", 5)
    calibrated = texts(capsys, model, talks, *flags)
    assert [entry["text"] for entry in calibrated] == [entry["text"] for entry in plain] and calibrated != plain
    again = transcribe(folder / "export", talks, language="taa", calibrate_on=shards)
    for entry, transcript in zip(calibrated, again, strict=True):
        assert [each["confidence"] for each in entry["segments"]] == [
            round(each.confidence, 4) for each in transcript.segments
        ]


def test_calibration_is_measured_on_test(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_confidence, "LEAST_WORDS", 5)
    confidences.main([str(folder / "run"), str(folder / "shards")])
    taa, tab, _, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    calibrated = [line[0].strip(":") for line in (taa, tab) if line[2] == "calibrated"]
    assert "taa" in calibrated and [row[0] for row in rows] == [*calibrated, "all"]
    assert int(rows[-1][1]) == sum(int(row[1]) for row in rows[:-1]) > 0
    assert all(0 <= float(value) <= 100 for row in rows for value in row[2:])


def test_the_search_finds_what_a_plain_one_does_on_a_models_own_outputs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search_check.main([str(folder / "run"), str(folder / "shards"), "--most", "2", "--width", "8"])
    _, taa, tab, every = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [taa[0], tab[0], every[0]] == ["taa", "tab", "all"] and every[1] == every[2] == "8"
    assert float(every[3]) < 1e-3, "the score of the best text"


def test_joined_recordings_are_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined_recordings.main([str(folder / "run"), str(folder / "shards"), "--orders", "1"])
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 12 and sum(" mean " in row for row in rows) == 4
    first, single, cost = (float(rows[place].split(" mean ")[1]) for place in (2, 8, 11))
    assert cost == pytest.approx(first - single, abs=0.011)
    said = joined_recordings.Said("taa", [], texts=["ab cd", "e"], alone=["ab ce", ""])
    assert said.change([1, 0], "ab cd") == pytest.approx((100 * (2 - 3) / 7, 100 / 5))


def test_a_long_recording_has_the_words_of_its_parts(folder: Path, tmp_path: Path) -> None:
    parts = []
    for _ in range(8):
        for row in range(6):
            audio, _ = soundfile.read(folder / "talks" / "taa" / f"{row}.wav", dtype="int16")
            parts += [audio, np.zeros(SAMPLE_RATE, np.int16)]
    soundfile.write(tmp_path / "long.flac", np.concatenate(parts), SAMPLE_RATE)
    (transcript,) = transcribe(folder / "run", tmp_path / "long.flac", language="taa")
    seconds = sum(map(len, parts)) / SAMPLE_RATE
    assert seconds > 40 and transcript.seconds == pytest.approx(seconds)
    times = [(word.start, word.end) for segment in transcript.segments for word in segment.words]
    assert times == sorted(times) and all(0 <= start < end <= seconds for start, end in times)
    assert all(0 < word.confidence <= 1 for segment in transcript.segments for word in segment.words)
    assert len(transcript.segments) >= 8


def test_the_peak_of_memory_does_not_grow_with_the_length(folder: Path, tmp_path: Path) -> None:
    audio = np.concatenate([soundfile.read(folder / "talks/taa/0.wav", dtype="int16")[0], np.zeros(8000, np.int16)])
    paths = [tmp_path / f"{minutes}.flac" for minutes in (5, 20)]
    for path in paths:
        soundfile.write(path, np.resize(audio, int(path.stem) * 60 * SAMPLE_RATE), SAMPLE_RATE)
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, str(folder / "export"), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    (few, short_kib), (many, long_kib) = json.loads(done.stdout.splitlines()[-1])
    assert many > 3 * few > 0
    assert long_kib - short_kib < 15 << 10, "15 minutes more are 27 MiB of samples"


def test_printed_texts_of_a_list_have_names_in_every_part(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(folder / "run"), "--list", str(folder / "list.tsv"), "--part", "11/12"]) == 0
    assert capsys.readouterr().out.startswith("talks/tab/5.wav\t")


def test_a_long_list_is_resumed_and_shared(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["transcribe", str(folder / "run"), "--list", str(folder / "list.tsv"), "--to", str(tmp_path)]
    assert main([*command, "--part", "0/2", "--format", "srt"]) == 0
    done = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.srt"))
    assert done == [f"talks/taa/{row}.srt" for row in range(6)]
    (tmp_path / done[0]).write_text("mine")
    assert main([*command, "--format", "srt"]) == 0
    assert "6 of 12 recordings are already in" in capsys.readouterr().err
    assert len(list(tmp_path.rglob("*.srt"))) == 12 and (tmp_path / done[0]).read_text() == "mine"
    assert main([*command, "--format", "srt", "--force"]) == 0
    assert (tmp_path / done[0]).read_text() != "mine"


def test_a_failed_item_is_named_and_the_rest_is_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "talks" / "broken.wav").write_bytes(b"no audio")
    (tmp_path / "list.tsv").write_text(
        f"{folder}/talks/broken.wav\ttaa\n{folder}/none.wav\ttaa\n{folder}/talks/taa/0.wav\ttaa\n"
    )
    assert main(["transcribe", str(folder / "run"), "--list", str(tmp_path / "list.tsv"), "--to", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert "broken.wav was not transcribed: it is a text file" in shown and "none.wav was not transcribed" in shown
    assert (tmp_path / "0.txt").is_file() and not (tmp_path / "broken.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["talks/broken.txt", "--lang", "taa"], "cannot be read as a recording"),
        (["talks/none.wav", "--lang", "taa"], "talks/none.wav does not exist"),
        (["talks/taa/0.wav"], "has no language"),
        (["talks/taa/0.wav", "--lang", "tac"], "did you mean 'ta"),
        (["talks/taa", "--lang", "taa", "--format", "srt"], "cannot be printed as srt"),
        (["talks/taa/0.wav", "--lang", "taa", "--lm", "talks"], "has no language model of taa"),
        (["talks/taa/0.wav", "--lang", "taa", "--lm", "s3://bucket/lm"], "s3://bucket/lm is not a file or folder"),
        (["talks/taa/0.wav", "--lang", "taa", "--lm", "other.arpa"], "only 0% of the language model's words"),
        (["talks/taa/0.wav", "--lang", "taa", "--part", "2/2"], "expected K/N"),
        (["--list", "talks/broken.txt"], "has no language"),
        (["--list", "talks/empty.tsv", "--lang", "taa"], "the list talks/empty.tsv is empty"),
    ],
)
def test_what_is_wrong_from_the_start_ends_with_2(
    folder: Path,
    arguments: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "talks" / "broken.txt").write_text("no audio")
    (folder / "talks" / "empty.tsv").write_text("")
    write_arpa(train_model(["это другой язык"], 2), folder / "other.arpa")
    assert main(["transcribe", "run", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(folder / "talks"), str(folder / "talks/taa/0.wav"), "--lang", "taa"]) == 2
    assert "neither a run nor a model with adapters" in capsys.readouterr().err


def test_standard_input_is_a_recording(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = texts(capsys, str(folder / "run"), str(folder / "talks/taa/1.wav"), "--lang", "taa")[0]
    with (folder / "talks/taa/1.wav").open("rb") as file:
        monkeypatch.setattr("sys.stdin", _Standard(file))
        found = texts(capsys, str(folder / "run"), "-", "--lang", "taa")[0]
    assert found["text"] == expected["text"] and found["audio"] == "-"


class _Standard:
    def __init__(self, file: Any) -> None:
        self.buffer = file
