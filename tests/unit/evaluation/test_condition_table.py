"""Conditions and tagged utterances are rows of one table, beside clean audio."""

import io

from rich.console import Console

from mms_dist.evaluation.condition_scoring import Conditions, Heard, conditions_json, score_conditions, score_tags
from mms_dist.evaluation.condition_table import condition_table
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.scoring_rules import AS_WRITTEN
from mms_dist.evaluation.utterance_groups import Attributes

REFERENCES = ["ab cd"] * 12
CLEAN = Transcription(list(range(12)), list("abcdefghijkl"), REFERENCES, ["ab cd"] * 6 + ["ab cx"] * 6)
ATTRIBUTES = [Attributes(1.0, tags={"numbers": "5"} if row >= 6 else {"accent": "us"}) for row in range(12)]


def heard(*rows: int) -> Heard:
    return Heard(Transcription(list(rows), ["k"] * len(rows), ["ab cd"] * len(rows), ["xx cd"] * len(rows)))


def printed() -> str:
    conditions = Conditions.of(["telephone", "tags"])
    made = score_conditions(
        CLEAN.measured(), dict.fromkeys(conditions.by_label), lambda _: heard(*range(12)), AS_WRITTEN
    )
    rows = made | score_tags(CLEAN.measured(), ATTRIBUTES)
    target = io.StringIO()
    table = condition_table({"taa": CLEAN.scores()}, {"taa": rows}, title="test")
    Console(width=100, file=target).print(table)
    return target.getvalue()


def test_a_row_has_the_rates_and_their_change_from_clean_audio() -> None:
    lines = {line.split()[0]: line.split()[1:] for line in printed().splitlines() if line.strip()}
    assert lines["clean"] == ["10.0", "25.0"]
    assert lines["telephone"][:2] == ["40.0", "+30.0"] and lines["telephone"][5:7] == ["50.0", "+25.0"]
    assert lines["tag:numbers"][:2] == ["20.0", "+10.0"]
    assert lines["tag:accent=us"][:2] == ["0.0", "−10.0"]


def test_a_tag_of_few_utterances_makes_no_row() -> None:
    attributes = [Attributes(1.0, tags={"numbers": "1"})] * 4 + [Attributes(1.0)] * 8
    assert score_tags(CLEAN.measured(), attributes) == {}


def test_only_utterances_that_could_be_read_in_both_are_compared() -> None:
    (found,) = score_conditions(CLEAN.measured(), {"telephone": None}, lambda _: heard(0, 1, 7), AS_WRITTEN).values()  # type: ignore[dict-item]
    assert found.paired.cer.change == (2 + 2 + 1) / 15
    assert found.scores.utterances == 3


def test_means_are_over_the_languages_scored_under_the_condition() -> None:
    (found,) = score_conditions(CLEAN.measured(), {"telephone": None}, lambda _: heard(*range(12)), AS_WRITTEN).values()  # type: ignore[dict-item]
    values = conditions_json([{"telephone": found}, {}])
    assert values["telephone"]["languages"] == 1 and values["telephone"]["cer"] == found.scores.cer
