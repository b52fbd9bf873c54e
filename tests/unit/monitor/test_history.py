"""Where a run stands follows from its events alone, however often it was killed."""

from typing import Any

from mms_dist.monitor.history import FINISHED, QUARANTINED, TRAINING, WAITING, Gain, History
from tests.monitor_samples import PlannedLanguage

TIME = {"time": "2026-01-02T03:04:05+00:00"}


def _event(kind: str, language: str | None = None, **fields: Any) -> dict[str, Any]:
    return TIME | {"kind": kind} | ({"language": language} if language else {}) | fields


def _evaluated(language: str, step: int, cer: float, *, best: bool = True) -> dict[str, Any]:
    return _event("evaluated", language, step=step, cer=cer, wer=2 * cer, utterances=9, best=best)


def test_initial_latest_and_best_are_three_points_of_the_curve() -> None:
    events = [_evaluated("ron", 0, 1.0), _evaluated("ron", 10, 0.3), _evaluated("ron", 20, 0.5, best=False)]
    language = History(events).languages["ron"]
    assert language.initial and language.latest and language.best
    assert (language.initial.cer, language.latest.cer, language.best.cer) == (1.0, 0.5, 0.3)
    assert language.best.step == 10


def test_the_best_is_the_one_that_training_kept_and_not_a_hair_better_one() -> None:
    events = [_evaluated("ron", 10, 0.3), _evaluated("ron", 20, 0.2999, best=False)]
    best = History(events).languages["ron"].best
    assert best and best.step == 10  # stopping.min_improvement


def test_a_resumed_language_forgets_what_was_measured_after_its_checkpoint() -> None:
    events = [_evaluated("ron", step, cer) for step, cer in ((0, 1.0), (10, 0.5), (20, 0.1))]
    events += [_event("run_resumed"), _event("admitted", "ron", step=12), _evaluated("ron", 20, 0.4)]
    curve = History(events).languages["ron"].curve
    assert [(point.step, point.cer) for point in curve] == [(0, 1.0), (10, 0.5), (20, 0.4)]


def test_states_follow_the_life_of_a_language() -> None:
    history = History()
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
    history = History([_event("admitted", "ron", step=0, steps=100)])
    assert history.planned(PlannedLanguage("ron", 500)).steps == 500


def test_a_language_that_goes_on_without_a_new_admission_is_in_training() -> None:
    events = [_event("admitted", "ron", step=0), _event("run_resumed", languages=["ron"])]
    assert History(events).languages["ron"].state == WAITING
    events.append(_event("checkpoint_saved", "ron", step=5))
    assert History(events).languages["ron"].state == TRAINING


def test_a_finished_language_with_new_steps_waits_again() -> None:
    events = [_event("finished", "ron", step=10, reason="steps"), _event("reopened", "ron", step=10, steps=20)]
    language = History(events).languages["ron"]
    assert (language.state, language.step, language.steps) == (WAITING, 10, 20)


def test_the_gain_counts_only_languages_scored_before_and_since() -> None:
    events = [_evaluated("ron", 0, 1.0), _evaluated("ron", 10, 0.2), _evaluated("ita", 0, 0.9)]
    assert Gain.of(History(events).languages.values()) == Gain(1.0, 0.2, 1)
    assert Gain.of([]) is None
