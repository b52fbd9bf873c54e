"""Two models are compared on the same utterances, and only a difference beyond chance is one."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from mms_dist.evaluation.comparison import Comparison, compare_conditions, compare_results, p_values
from mms_dist.evaluation.comparison_table import compared_conditions_table, comparison_table, verdict
from mms_dist.evaluation.condition_scoring import Heard, score_conditions
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.metrics import score
from mms_dist.evaluation.score_run import LanguageResult

TEXT = "abcdefghij"


def result(language: str, hypotheses: list[str], rows: list[int] | None = None) -> LanguageResult:
    rows = list(range(len(hypotheses))) if rows is None else rows
    keys, references = [f"clip{row}" for row in rows], [TEXT + "k" * row for row in rows]
    said = Transcription(rows=rows, keys=keys, references=references, hypotheses=hypotheses)
    return LanguageResult(language=language, step=4, checkpoint="best", scores=said.scores(), transcription=said)


def better_in(count: int, of: int = 30) -> Comparison:
    """This model is right in so many utterances in which the other one has one character wrong."""
    ours = [TEXT + "k" * row for row in range(of)]
    theirs = ["x" + text[1:] if row < count else text for row, text in enumerate(ours)]
    languages = {code: compare_results(result(code, ours), result(code, theirs)) for code in ("ron", "hun")}
    return Comparison("other", "run", languages, {"ita": "other does not have it"})


def test_utterances_are_paired_by_their_row() -> None:
    ours = result("ron", [TEXT, "", TEXT + "kkk"], [0, 2, 3])
    theirs = result("ron", [TEXT, TEXT + "k", TEXT + "kkk"], [0, 1, 3])
    found = compare_results(ours, theirs)
    assert found.ours == found.theirs == score([TEXT, TEXT + "kkk"], [TEXT, TEXT + "kkk"])
    assert found.same_text == 2 and found.change.cer == 0


def test_models_are_compared_under_conditions_that_both_were_scored_under() -> None:
    def under(text: str, *labels: str) -> LanguageResult:
        clean = result("ron", [TEXT, TEXT + "k"])
        heard = Heard(Transcription([0, 1], ["a", "b"], [TEXT, TEXT + "k"], [text, TEXT + "k"]))
        scored = score_conditions(clean.texts, dict.fromkeys(labels), lambda _: heard, clean.rules)  # type: ignore[arg-type]
        return replace(clean, conditions=scored)

    ours, theirs = under(TEXT, "noise:10", "telephone"), under("x" + TEXT[1:], "noise:10", "reverb:0.3")
    found = compare_conditions(ours, theirs)
    assert list(found) == ["noise:10"] and found["noise:10"].change.cer == pytest.approx(-1 / 21)
    comparison = Comparison("other", "run", {}, {}, conditions={"noise:10": {"ron": found["noise:10"]}})
    values = comparison.as_dict()["conditions"]["noise:10"]
    assert values["cer"] == pytest.approx(1 / 21) and values["change"]["cer"] == pytest.approx(-1 / 21)
    target = io.StringIO()
    Console(width=120, file=target).print(compared_conditions_table(comparison))
    (row,) = [line.split() for line in target.getvalue().splitlines() if line.strip().startswith("noise:10")]
    assert row[1:4] == ["0.0", "4.8", "-4.8"]


def test_the_change_is_that_of_the_rates_and_negative_if_this_is_better() -> None:
    found = better_in(20)
    for each in found.languages.values():
        assert each.change.cer == pytest.approx(each.ours.cer - each.theirs.cer) and each.change.cer_high < 0
        assert each.change.wer == pytest.approx(each.ours.wer - each.theirs.wer) == pytest.approx(-20 / 30)
    assert found.mean is not None and found.mean.cer == pytest.approx(np.mean([-20 / (300 + 435)] * 2))


def test_a_difference_in_few_utterances_is_chance_and_in_many_is_not() -> None:
    certain, chance, none = better_in(20), better_in(1), better_in(0)
    values = [p_values([each.paired for each in found.languages.values()]) for found in (certain, chance, none)]
    assert values[0]["cer"] == values[0]["wer"] == 2 / 1001
    assert 0.05 < values[1]["cer"] < 1 and values[2] == {"cer": 1.0, "wer": 1.0}
    assert "points lower than that of other (p < 0.002)" in verdict(certain)
    assert verdict(none) == "no difference in CER to other beyond chance (p = 1)"


def test_the_p_value_is_the_same_whichever_model_is_first() -> None:
    ours, theirs = result("ron", [TEXT, "x", TEXT, "y"]), result("ron", ["z", "", TEXT + "kk", TEXT])
    one, other = compare_results(ours, theirs), compare_results(theirs, ours)
    assert p_values([one.paired]) == p_values([other.paired]) and one.change.cer == -other.change.cer


def test_plain_values_and_the_table_say_the_same() -> None:
    found = better_in(20)
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["languages"]["ron"]["change"]["cer"] == found.languages["ron"].change.cer
    assert values["languages"]["ron"]["same_text"] == 10 and values["left_out"] == {"ita": "other does not have it"}
    assert values["mean"]["p"]["cer"] == 2 / 1001
    console = Console(file=io.StringIO(), width=140, record=True)
    console.print(comparison_table(found))
    shown = console.export_text()
    assert "10 of 30" in shown and "-2.7" in shown and "mean of 2" in shown
    assert Comparison("other", "run", {}, {}).as_dict()["mean"] is None
