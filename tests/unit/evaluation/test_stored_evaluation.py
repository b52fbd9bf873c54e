"""Scores and transcripts are read as they were stored."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mms_dist.evaluation.comparison import Comparison, compare_results
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.metrics import measure
from mms_dist.evaluation.score_run import LanguageResult
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.evaluation.stored_evaluation import StoredUtterance, read_evaluation, scores_json, transcripts_tsv
from mms_dist.evaluation.text_edits import confusions
from mms_dist.evaluation.utterance_groups import Attributes, group_scores

SAID = Transcription(
    rows=[2, 5],
    keys=["a b", "c\td"],
    references=["una frase", 'con "comillas"'],
    hypotheses=["una fase", ""],
)
RULES = ScoringRules(case=False)
RESULT = LanguageResult(
    language="spa",
    step=40,
    checkpoint="best",
    scores=SAID.scores(),
    transcription=SAID,
    rules=RULES,
    written={"case": "kept", "punctuation": "dropped"},
    groups=group_scores(measure(SAID.references, SAID.hypotheses), [Attributes(1.5, "ann"), Attributes(3.25, "bob")]),
    confusions=confusions(zip(SAID.references, SAID.hypotheses, strict=True)),
)


def store(run: Path, split: str, **more: object) -> None:
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / f"{split}.json").write_text(
        json.dumps(scores_json([RESULT], lambda language: "greedy") | more), encoding="utf-8"
    )
    (run / "eval" / f"{split}.tsv").write_text(transcripts_tsv([RESULT]), encoding="utf-8")


def test_what_is_stored_is_read(tmp_path: Path) -> None:
    store(tmp_path, "test", failed={"ron": "no checkpoint"})
    found = read_evaluation(tmp_path)
    assert found is not None and (found.split, found.decoding) == ("test", "greedy decoding")
    language = found.languages["spa"]
    assert (language.scores, language.step, language.untrained, language.greedy) == (RESULT.scores, 40, False, None)
    assert found.mean_cer == RESULT.scores.cer and found.failed == {"ron": "no checkpoint"}
    assert found.utterances["spa"] == [
        StoredUtterance("a b", "una frase", "una fase", 2),
        StoredUtterance("c d", 'con "comillas"', "", 5),
    ]


def test_groups_confusions_and_rules_are_read_as_they_were_stored(tmp_path: Path) -> None:
    store(tmp_path, "test")
    found = read_evaluation(tmp_path)
    assert found is not None
    language = found.languages["spa"]
    assert language.groups == RESULT.groups and language.confusions == RESULT.confusions and language.rules == RULES
    assert found.scoring == "scored without regard to case (with capitals, no punctuation)"
    values = json.loads((tmp_path / "eval" / "test.json").read_text(encoding="utf-8"))["languages"]["spa"]
    assert values["by"]["speaker"]["bob"]["seconds"] == 3.25
    assert values["scoring"]["case"] == "ignored" and values["confusions"]["characters"]


def test_comparisons_are_read_as_they_were_stored(tmp_path: Path) -> None:
    pair = compare_results(
        RESULT, replace(RESULT, transcription=replace(SAID, hypotheses=["una frase", "con comilas"]))
    )
    made = Comparison("runs/other", "run", {"spa": pair}, {"ita": "it does not have it"}, "a note")
    store(tmp_path, "test", comparisons=[made.as_dict()])
    evaluation = read_evaluation(tmp_path)
    assert evaluation is not None
    (found,) = evaluation.comparisons
    assert (found.other, found.left_out, found.note) == ("runs/other", {"ita": "it does not have it"}, "a note")
    ((code, difference),) = found.by_change
    assert code == "spa" and difference == found.mean and difference.change == pair.change
    assert difference.our_cer == pytest.approx(pair.ours.cer) and difference.cer == pair.theirs.cer


def test_the_test_split_is_preferred(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path) is None
    for split in ("train", "dev", "test"):
        store(tmp_path, split)
        found = read_evaluation(tmp_path)
        assert found is not None and found.split == split


def test_greedy_transcripts_are_read_beside_those_of_a_search(tmp_path: Path) -> None:
    store(tmp_path, "dev", later={"more": 1})
    path = tmp_path / "eval" / "dev.tsv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join([f"{head}\tgreedy\tmore", *(f"{line}\tuna faze\t7" for line in lines)])
    path.write_text(text + "\n", encoding="utf-8")
    found = read_evaluation(tmp_path)
    assert found is not None and [each.greedy for each in found.utterances["spa"]] == [None] * 2
    values = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    values["languages"]["spa"]["greedy"] = RESULT.scores.as_dict()
    path.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")
    found = read_evaluation(tmp_path)
    assert found is not None and [each.greedy for each in found.utterances["spa"]] == ["una faze"] * 2
    assert found.languages["spa"].greedy == RESULT.scores


def test_scores_of_earlier_versions_have_no_transcripts(tmp_path: Path) -> None:
    store(tmp_path, "dev")
    (tmp_path / "eval" / "dev.tsv").unlink()
    path = tmp_path / "eval" / "dev.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("decoder", "by", "confusions", "scoring"):
        del values["languages"]["spa"][name]
    path.write_text(json.dumps(values), encoding="utf-8")
    found = read_evaluation(tmp_path)
    assert found is not None and found.utterances == {} and found.decoding == "greedy decoding"
    assert (found.languages["spa"].groups, found.languages["spa"].confusions) == ({}, None)


def test_it_is_said_which_languages_had_a_language_model(tmp_path: Path) -> None:
    store(tmp_path, "test")
    path = tmp_path / "eval" / "test.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    searched = values["languages"]["spa"] | {"decoder": {"name": "beam_search", "language_model": "lm.arpa"}}
    for languages, said in (
        ({"ron": searched}, "beam search decoding with a language model"),
        (
            {"ron": searched, "spa": values["languages"]["spa"]},
            "beam search or greedy decoding, 1 of 2 languages with a language model",
        ),
    ):
        path.write_text(json.dumps(values | {"languages": languages}), encoding="utf-8")
        found = read_evaluation(tmp_path)
        assert found is not None and found.decoding == said


@pytest.mark.parametrize("line", ["spa\tonly", "spa\ta\tb\tc\tseven"])
def test_a_damaged_transcript_is_an_error_that_names_the_command(tmp_path: Path, line: str) -> None:
    from mms_dist.errors import DataError

    store(tmp_path, "test")
    path = tmp_path / "eval" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"run mms-dist eval .* --split test again"):
        read_evaluation(tmp_path)
