"""Scores and transcripts are read as they were stored."""

import json
from pathlib import Path

import pytest

from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.score_run import LanguageResult
from mms_dist.evaluation.stored_evaluation import StoredUtterance, read_evaluation, scores_json, transcripts_tsv

SAID = Transcription(
    rows=[2, 5],
    keys=["a b", "c\td"],
    references=["una frase", 'con "comillas"'],
    hypotheses=["una fase", ""],
)
RESULT = LanguageResult("spa", 40, "best", SAID.scores(), SAID)


def store(run: Path, split: str, **more: object) -> None:
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / f"{split}.json").write_text(json.dumps(scores_json([RESULT]) | more), encoding="utf-8")
    (run / "eval" / f"{split}.tsv").write_text(transcripts_tsv([RESULT]), encoding="utf-8")


def test_what_is_stored_is_read(tmp_path: Path) -> None:
    store(tmp_path, "test", decoder="greedy", failed={"ron": "no checkpoint"})
    found = read_evaluation(tmp_path)
    assert found is not None and (found.split, found.decoder) == ("test", "greedy")
    language = found.languages["spa"]
    assert (language.scores, language.step, language.untrained, language.greedy) == (RESULT.scores, 40, False, None)
    assert found.mean_cer == RESULT.scores.cer and found.failed == {"ron": "no checkpoint"}
    assert found.utterances["spa"] == [
        StoredUtterance("a b", "una frase", "una fase", 2),
        StoredUtterance("c d", 'con "comillas"', "", 5),
    ]


def test_the_test_split_is_preferred(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path) is None
    for split in ("train", "dev", "test"):
        store(tmp_path, split)
        found = read_evaluation(tmp_path)
        assert found is not None and found.split == split


def test_files_of_earlier_versions_and_later_columns_are_read(tmp_path: Path) -> None:
    store(tmp_path, "dev", later={"more": 1})
    path = tmp_path / "eval" / "dev.tsv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join([f"{head}\tgreedy\tmore", *(f"{line}\tuna faze\t7" for line in lines)])
    path.write_text(text + "\n", encoding="utf-8")
    found = read_evaluation(tmp_path)
    assert found is not None and found.decoder == "greedy"
    assert [each.greedy for each in found.utterances["spa"]] == ["una faze"] * 2
    path.unlink()
    assert read_evaluation(tmp_path).utterances == {}  # type: ignore[union-attr]


@pytest.mark.parametrize("line", ["spa\tonly", "spa\ta\tb\tc\tseven"])
def test_a_damaged_transcript_is_an_error_that_names_the_command(tmp_path: Path, line: str) -> None:
    from mms_dist.errors import DataError

    store(tmp_path, "test")
    path = tmp_path / "eval" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"run mms-dist eval .* --split test again"):
        read_evaluation(tmp_path)
