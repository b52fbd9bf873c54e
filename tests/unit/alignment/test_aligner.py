"""Recordings are cut where their words were said, whatever the text has too much or too little."""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

from launcher.cli import main
from mms_dist.alignment.aligner import AlignedItem, Aligner, model_of, write_manifest
from mms_dist.alignment.inputs import AlignmentItem
from mms_dist.alignment.passage import Line
from mms_dist.alignment.recording_alignment import RecordingAlignment
from mms_dist.decoding.search_pool import SearchPool
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.sources.aligned import MARKER
from tests.hearing import ToneModel, recording, sentences

SAID = sentences(24)
NEVER_SAID = sentences(8, seed=9)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[float, float]]]:
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    audio, spans = recording(SAID)
    soundfile.write(path, audio, SAMPLE_RATE)
    return path, spans


def aligned(model: ToneModel, items: Sequence[AlignmentItem], *, processes: int = 1) -> list[AlignedItem]:
    with SearchPool(processes) as pool:
        return list(Aligner(model, pool).run(items))  # type: ignore[arg-type]


def found_in(path: Path, texts: Sequence[str], model: ToneModel | None = None) -> RecordingAlignment:
    item = AlignmentItem(path, path.name, "ita", lines=tuple(map(Line, texts)))
    (done,) = aligned(model or ToneModel(), [item])
    assert done.found is not None
    return done.found


CHANGES = {
    "as said": SAID,
    "missing at the beginning, inside and at the end": [*SAID[2:8], *SAID[11:20]],
    "extra at the beginning, inside and at the end": [
        *NEVER_SAID[:2],
        *SAID[:9],
        *NEVER_SAID[2:6],
        *SAID[9:],
        NEVER_SAID[6],
    ],
    "repeated": [*SAID[:10], *SAID[4:10], *SAID[10:]],
    "exchanged for another": [*SAID[:7], *NEVER_SAID[:3], *SAID[10:]],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_what_was_said_lies_where_it_was_said(
    talk: tuple[Path, list[tuple[float, float]]], change: str, wrong: float
) -> None:
    path, spans = talk
    texts = CHANGES[change]
    found = found_in(path, texts, ToneModel(wrong=wrong))
    right = 0
    for utterance in found.utterances:
        assert 1 <= utterance.end - utterance.start <= 20
        times = [spans[SAID.index(text)] for text in SAID if text in utterance.text]
        right += sum(start >= utterance.start - 0.2 and end <= utterance.end + 0.2 for start, end in times)
    assert right >= 0.8 * len(set(texts) & set(SAID))
    assert not any(text in utterance.text for utterance in found.utterances for text in NEVER_SAID)


@pytest.mark.parametrize(("language", "trusting"), [("spa", {"adapter": "ita"}), ("ita", {"trust_text": True})])
def test_a_trusted_text_is_found_by_an_adapter_that_hardly_hears_it(
    talk: tuple[Path, list[tuple[float, float]]], language: str, trusting: dict[str, Any]
) -> None:
    item = AlignmentItem(talk[0], "talk.wav", language, lines=tuple(map(Line, SAID)))
    with SearchPool(1) as pool:
        (done,) = Aligner(ToneModel(wrong=0.4), pool, **trusting).run([item])  # type: ignore[arg-type]
    assert done.found is not None
    spans = [span for text, span in zip(SAID, talk[1], strict=True) for _ in text.split()]
    inside = [
        spans[word.place][0] - 0.2 <= word.start and word.end <= spans[word.place][1] + 0.2 for word in done.found.said
    ]
    assert sum(inside) >= 0.9 * len(spans)


def test_a_text_of_another_recording_gives_nothing_or_low_scores(
    talk: tuple[Path, list[tuple[float, float]]],
) -> None:
    right = found_in(talk[0], SAID)
    wrong = found_in(talk[0], sentences(24, seed=5))
    lowest = min(utterance.score for utterance in right.utterances)
    assert lowest > -1 and all(utterance.score < lowest for utterance in wrong.utterances)


def test_broken_recordings_stop_nothing_in_one_process_or_several(
    talk: tuple[Path, list[tuple[float, float]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    lines = tuple(map(Line, SAID))
    items = [
        AlignmentItem(talk[0], "1.wav", "ita", lines=lines),
        AlignmentItem(tmp_path / "broken.wav", "broken.wav", "ita", lines=lines),
        AlignmentItem(talk[0], "textless.wav", "ita"),
        AlignmentItem(talk[0], "2.wav", "ita", lines=lines[:12]),
    ]
    one, several = aligned(ToneModel(), items), aligned(ToneModel(), items, processes=2)
    assert one == several
    assert [done.problem is None for done in one] == [True, False, False, True]
    assert "no text beside it" in str(one[2].problem)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("processes", [1, 2])
def test_a_search_without_space_or_process_is_a_problem_of_its_recording(
    talk: tuple[Path, list[tuple[float, float]]], processes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("mms_dist.alignment.aligner.align_recording", full_disk if processes == 1 else die)
    item = AlignmentItem(talk[0], "1.wav", "ita", lines=tuple(map(Line, SAID)))
    (done,) = aligned(ToneModel(), [item], processes=processes)
    assert ("No space left" if processes == 1 else "a process that searched died") in str(done.problem)
    assert not list(tmp_path.iterdir())


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def die(*arguments: object) -> None:
    os._exit(9)


def test_shards_are_built_of_what_was_aligned_with_its_scores(
    talk: tuple[Path, list[tuple[float, float]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = found_in(talk[0], [text.upper() for text in SAID], ToneModel(wrong=0.05))
    manifest = tmp_path / "cut" / "one" / "talk.aligned.jsonl"
    item = AlignmentItem(talk[0], "one/talk.wav", "ita", speaker="ugo")
    write_manifest(manifest, item, found, "tones")
    (tmp_path / "cut" / MARKER).write_text("{}\n")
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert model_of(manifest) == "tones" and rows[0]["text"].isupper()
    options = ["--workers", "1", "--test-fraction", "0"]
    assert main(["shards", "build", str(tmp_path / "cut"), str(tmp_path / "corpus"), *options]) == 0
    index = ShardIndex.load(str(tmp_path / "corpus"))
    assert index.language("ita").content["align_model"] == "tones"
    table = index.language("ita").table("train")
    utterance = ShardReader(index).read("ita", "train", 0)
    (row,) = [row for row in rows if row["text"] == utterance.info["raw_text"]]
    assert utterance.info["align_score"] == row["align_score"] == pytest.approx(float(table.align_score[0]))
    assert (utterance.info["align_model"], utterance.info["speaker"]) == ("tones", "ugo")
    least = sorted(row["align_score"] for row in rows)[1]
    options += ["--min-score", str(least), "--dev-fraction", "0"]
    assert main(["shards", "build", str(tmp_path / "cut"), str(tmp_path / "best"), *options]) == 0
    content = ShardIndex.load(str(tmp_path / "best")).language("ita").content
    assert content["drops"]["low_align_score"]["count"] == 1
    assert content["splits"]["train"]["samples"] == len(rows) - 1
    rows[0]["align_model"] = "others"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    capsys.readouterr()
    assert main(["shards", "build", str(tmp_path / "cut"), str(tmp_path / "mixed"), *options]) == 2
    assert "of 2 models, which cannot be compared: others, tones" in capsys.readouterr().err
