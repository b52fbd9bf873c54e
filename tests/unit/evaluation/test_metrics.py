"""CER and WER are those of the corpus, and say so where they are not defined."""

import io
import json

import pytest
from rich.console import Console

from mms_dist.errors import DataError
from mms_dist.evaluation import Edits, evaluation_json, evaluation_table, score


def test_the_corpus_rate_is_all_edits_over_all_reference_characters() -> None:
    scores = score(["abcdefgh", "xy"], ["abcdefgh", "xz"])
    assert scores.cer == pytest.approx(1 / 10)  # the mean of the utterances' rates would be 1/4
    assert scores.wer == pytest.approx(1 / 2)
    assert (scores.reference_characters, scores.reference_words, scores.utterances) == (10, 2, 2)


def test_substitutions_insertions_and_deletions_are_counted_apart() -> None:
    scores = score(["abc def", "gh"], ["abd def", "ghi"])
    assert scores.character_edits == Edits(substitutions=1, insertions=1, deletions=0)
    assert score(["abc"], ["c"]).character_edits == Edits(substitutions=0, insertions=0, deletions=2)
    assert scores.word_edits.total == 2


def test_an_empty_hypothesis_costs_its_whole_reference() -> None:
    scores = score(["ab cd", "ef"], ["", "ef"])
    assert scores.character_edits == Edits(0, 0, 5)
    assert scores.cer == pytest.approx(5 / 7)


def test_a_rate_passes_one_when_the_hypothesis_is_longer() -> None:
    assert score(["a"], ["abc"]).cer == 2.0


@pytest.mark.parametrize("reference", ["", "  "])
def test_an_empty_reference_is_named(reference: str) -> None:
    with pytest.raises(DataError, match=r"reference 1 of 2 is empty"):
        score(["a", reference], ["a", "b"])


def test_nothing_to_score_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(DataError, match="no utterance to score"):
        score([], [])


def test_the_interval_holds_the_rate_is_repeatable_and_shrinks_with_data() -> None:
    references = ["ab cd", "ef gh", "ij kl", "mn op"]
    hypotheses = ["ab cd", "ef xx", "ij kl", "xn op"]
    few, many = score(references, hypotheses), score(references * 25, hypotheses * 25)
    assert few.cer_low <= few.cer <= few.cer_high
    assert many.cer_low <= many.cer <= many.cer_high
    assert many.cer_high - many.cer_low < (few.cer_high - few.cer_low) / 3
    assert few.wer_low <= few.wer <= few.wer_high
    assert many.wer_high - many.wer_low < (few.wer_high - few.wer_low) / 3
    assert score(references, hypotheses) == few


def test_the_interval_is_of_the_corpus_rate_and_each_rate_has_its_own() -> None:
    references = ["ab" * 50] * 20 + ["x"] * 20  # whole ones that are right, and single letters that are wrong
    scores = score(references, ["ab" * 50] * 20 + ["y"] * 20)
    assert scores.cer == pytest.approx(20 / 2_020) and scores.wer == pytest.approx(0.5)
    assert 0.004 < scores.cer_low < scores.cer < scores.cer_high < 0.03
    assert 0.25 < scores.wer_low < 0.42 and 0.58 < scores.wer_high < 0.75


def test_one_utterance_has_an_interval_of_one_point() -> None:
    only = score(["abcd"], ["abxx"])
    assert only.cer_low == only.cer == only.cer_high == 0.5


def test_the_mean_weighs_every_language_equally() -> None:
    scores = {
        "ita": score(["ab cd"] * 9, ["ab cd"] * 9),
        "ron": score(["abcd"], ["abxx"]),
        "ukr": score(["ab" * 40] * 3, [""] * 3),
    }
    mean = evaluation_json(scores)["mean"]
    assert mean == {"cer": pytest.approx((0 + 0.5 + 1) / 3), "wer": pytest.approx((0 + 1 + 1) / 3)}
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(evaluation_table(scores))
    (line,) = (line for line in console.export_text().splitlines() if "mean of 3" in line)
    assert line.split()[3:] == ["13", "50.0", "66.7"]


def test_the_table_is_sorted_by_error_rate_and_then_by_code() -> None:
    good, bad = score(["abcd"], ["abcd"]), score(["abcd"], ["abcx"])
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(evaluation_table({"aaa": bad, "zzz": good, "mmm": good}))
    lines = [line.split()[0] for line in console.export_text().splitlines() if line.strip()]
    assert [code for code in lines if code in ("aaa", "mmm", "zzz")] == ["mmm", "zzz", "aaa"]


def test_the_table_and_the_json_tell_the_same() -> None:
    scores = {"ron": score(["abcd"], ["abcx"]), "ita": score(["ab cd"], ["ab cd"])}
    document = json.loads(json.dumps(evaluation_json(scores)))
    assert document["languages"]["ron"]["cer"] == 0.25
    assert document["mean"]["cer"] == 0.125
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(evaluation_table(scores))
    lines = console.export_text().splitlines()
    assert [line.split()[0] for line in lines if line.startswith((" ita", " ron"))] == ["ita", "ron"]
    assert "12.5" in next(line for line in lines if "mean of 2" in line)


def test_the_interval_is_the_95_percent_of_the_seeds_resampled_corpora() -> None:
    """A quarter of the utterances are wrong throughout, by deletions or by insertions: a binomial distribution."""
    references = ["abcdefghij"] * 400
    hypotheses = [""] * 50 + ["abcdefghij" + "x" * 10] * 50 + references[100:]
    scores = score(references, hypotheses)
    deviation = (0.25 * 0.75 / 400) ** 0.5
    assert scores.cer == 0.25
    assert scores.cer_low == pytest.approx(0.25 - 1.96 * deviation, abs=0.15 * deviation)
    assert scores.cer_high == pytest.approx(0.25 + 1.96 * deviation, abs=0.15 * deviation)
    assert score(references, hypotheses) == scores != score(references, hypotheses, seed=1)


def test_lengths_are_those_of_the_references() -> None:
    scores = score(["ab cd", "e"], ["ab", "e f g h"])
    assert (scores.reference_characters, scores.reference_words, scores.utterances) == (6, 3, 2)
