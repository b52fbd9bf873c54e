"""What a report says of a language, and of all of them."""

from dataclasses import replace

import pytest

from mms_dist.evaluation.metrics import Edits, Scores, score
from mms_dist.evaluation.text_edits import Confusions
from mms_dist.monitor.history import CurvePoint, LanguageHistory
from mms_dist.report.findings import findings
from mms_dist.report.run_report import Dropped, LanguageData, LanguageReport

HOUR = 3600.0
POOR = score(["one two three four five"] * 10, ["one too tree for fife"] * 10)


def curve(*rates: float) -> list[CurvePoint]:
    return [CurvePoint(100 * number, cer, 0.9, 20, best=True) for number, cer in enumerate(rates)]


def language(scores: Scores | None = POOR, **changes: object) -> LanguageReport:
    """A language that is poor for no known reason."""
    rates = curve(1.0, 0.6, 0.45, 0.4, 0.4)
    history = LanguageHistory(language="ron", state="finished", reason="steps", step=400, steps=400, curve=rates)
    history.audio_seconds = 20 * HOUR
    data = LanguageData(
        seconds={"train": 20 * HOUR, "dev": HOUR, "test": HOUR},
        utterances={"train": 9_000, "dev": 500, "test": 500},
        speakers=80,
        characters=30,
        dropped=[],
        characters_not_in_train={},
    )
    report = LanguageReport(
        history=history,
        scores=scores,
        scored_step=400,
        greedy=None,
        conditions={},
        data=data,
        confusions=Confusions(),
        groups={},
        settings={},
    )
    return replace(report, **changes)  # type: ignore[arg-type]


def kinds(report: LanguageReport) -> list[str]:
    return [each.kind for each in findings(report, "test")]


def test_a_language_without_a_known_reason_has_no_finding() -> None:
    assert kinds(language()) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"state": "quarantined", "reason": "nan"}, "In quarantine"),
        ({"damaged": {("ron", "train", "3")}}, "Damaged recordings in the shards"),
        ({"curve": curve(1.0, 0.8, 0.6, 0.5, 0.4)}, "Still improving when training ended"),
        ({"curve": curve(1.0, 0.8, 0.6, 0.5, 0.4), "state": "training"}, "Still improving"),
        ({"reason": "early_stop"}, "Stopped early"),
        ({"audio_seconds": 1_200.0}, "Less than an hour of training audio"),
        ({"curve": curve(1.0, 0.05, 0.05, 0.05, 0.05)}, "Much worse on test than on dev"),
    ],
)
def test_the_history_explains(changes: dict[str, object], kind: str) -> None:
    report = language()
    for name, value in changes.items():
        setattr(report.history, name, value)
    assert kinds(report) == [kind]


def test_a_language_whose_last_evaluation_is_not_its_best_is_not_improving() -> None:
    report = language()
    report.history.curve = curve(1.0, 0.8, 0.6, 0.39, 0.4)
    assert kinds(report) == []


def test_dev_is_compared_with_what_was_decoded_as_it_was() -> None:
    read_well = score(["one two three four five"] * 10, ["one two three four fife"] * 10)
    report = language(POOR, greedy=read_well)
    report.history.curve = curve(1.0, 0.05, 0.05, 0.05, 0.05)
    assert kinds(report) == []
    assert [each.kind for each in findings(report, "test", dev_decoder="beam_search")] == [
        "Much worse on test than on dev"
    ]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"speakers": 1}, "A single speaker"),
        ({"dropped": [Dropped("too_long", "longer", "cut", 5_000, [])]}, "More than 5 % of the data left out"),
        ({"characters_not_in_train": {"test": {"ß": 3}}}, "Characters that training never saw"),
    ],
)
def test_the_data_explain(changes: dict[str, object], kind: str) -> None:
    report = language()
    assert report.data is not None
    assert kinds(replace(report, data=replace(report.data, **changes))) == [kind]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edits", "kind"),
    [(Edits(3, 2, 20), "Mostly missing characters"), (Edits(3, 20, 2), "Mostly added characters")],
)
def test_the_errors_explain(edits: Edits, kind: str) -> None:
    assert kinds(language(replace(POOR, character_edits=edits))) == [kind]


@pytest.mark.parametrize(("step", "kind"), [(0, "Scored before training"), (200, "Scored before training went on")])
def test_scores_of_an_earlier_checkpoint_are_pointed_out(step: int, kind: str) -> None:
    assert kinds(language(scored_step=step)) == [kind]


def test_a_good_language_needs_no_excuse() -> None:
    good = score(["one two three four five"] * 10, ["one two three four five"] * 10)
    report = language(good)
    report.history.curve, report.history.audio_seconds = curve(1.0, 0.1, 0.05, 0.02, 0.01), 60.0
    assert kinds(report) == []
