"""Where a run stands follows from its events alone, however often it was killed."""

from typing import Any

from mms_dist.monitor.history import FINISHED, QUARANTINED, TRAINING, WAITING, Gain, History
from mms_dist.monitor.report import LanguagePlan

TIME = {"time": "2026-01-02T03:04:05+00:00"}


def _event(kind: str, language: str | None = None, **fields: Any) -> dict[str, Any]:
    return TIME | {"kind": kind} | ({"language": language} if language else {}) | fields


def _evaluated(language: str, step: int, cer: float) -> dict[str, Any]:
    return _event("evaluated", language, step=step, cer=cer, wer=2 * cer, utterances=9, best=True)


def test_initial_latest_and_best_are_three_points_of_the_curve() -> None:
    events = [_evaluated("ron", step, cer) for step, cer in ((0, 1.0), (10, 0.3), (20, 0.5))]
    language = History(events=events).languages["ron"]
    assert language.initial and language.latest and language.best
    assert (language.initial.cer, language.latest.cer, language.best.cer) == (1.0, 0.5, 0.3)
    assert language.best.step == 10


def test_a_resumed_language_forgets_what_was_measured_after_its_checkpoint() -> None:
    events = [_evaluated("ron", step, cer) for step, cer in ((0, 1.0), (10, 0.5), (20, 0.1))]
    events += [_event("run_resumed"), _event("admitted", "ron", step=12), _evaluated("ron", 20, 0.4)]
    curve = History(events=events).languages["ron"].curve
    assert [(point.step, point.cer) for point in curve] == [(0, 1.0), (10, 0.5), (20, 0.4)]


def test_a_cer_that_is_not_a_number_is_never_the_best() -> None:
    language = History(events=[_evaluated("ron", 10, 0.5), _evaluated("ron", 20, float("nan"))]).languages["ron"]
    assert language.best and language.best.step == 10


def test_states_follow_the_life_of_a_language() -> None:
    history = History([LanguagePlan(code, 100) for code in ("ces", "ita", "nld", "ron")])
    for event in (
        _event("run_started", languages=["ces", "ita", "nld", "ron"]),
        *(_event("admitted", code, step=0) for code in ("ita", "nld", "ron")),
        _event("finished", "nld", step=100, reason="steps"),
        _event("quarantined", "ron", step=7, reason="the loss is nan"),
    ):
        history.apply(event)
    states = {code: language.state for code, language in history.languages.items()}
    assert states == {"ces": WAITING, "ita": TRAINING, "nld": FINISHED, "ron": QUARANTINED}
    history.apply(_event("preempted"))
    assert history.ended == "preempted"
    history.apply(_event("run_resumed", languages=["ces", "ita", "nld", "ron"]))
    assert history.ended == ""
    assert history.languages["ita"].state == WAITING  # until it is admitted again
    assert history.languages["nld"].state == FINISHED


def test_the_plan_outranks_what_an_earlier_run_said() -> None:
    history = History([LanguagePlan("ron", 500)], [_event("admitted", "ron", step=0, steps=100)])
    assert history.languages["ron"].steps == 500


def test_the_gain_counts_only_languages_scored_before_and_since() -> None:
    events = [_evaluated("ron", 0, 1.0), _evaluated("ron", 10, 0.2), _evaluated("ita", 0, 0.9)]
    assert Gain.of(History(events=events).languages.values()) == Gain(1.0, 0.2, 1)
    assert Gain.of([]) is None
