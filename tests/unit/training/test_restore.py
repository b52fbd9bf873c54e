"""Where a run goes on: nobody is set back, and everybody has the company they had."""

from dataclasses import replace

import pytest

from mms_dist.data.language_summaries import LanguageSummary, Work
from mms_dist.training.progress import ACTIVE, FINISHED, QUARANTINED, Progress
from mms_dist.training.restore import plan_restart
from mms_dist.training.scheduler import LanguageScheduler, QueuedLanguage, Ranks, order_of_admission


def at(language: str, round_number: int, *, admitted: int = 0, status: str = ACTIVE) -> Progress:
    return Progress(language=language, status=status, round=round_number, admitted_round=admitted)


def names(progress: list[Progress]) -> list[str]:
    return [each.language for each in progress]


def test_a_fresh_run_starts_at_round_zero() -> None:
    plan = plan_restart([], furthest_back=10)
    assert (plan.round, plan.present, plan.later) == (0, [], [])


def test_the_oldest_open_checkpoint_sets_the_round_and_others_replay() -> None:
    plan = plan_restart([at("a", 40), at("b", 30), at("c", 35, status=FINISHED)], furthest_back=20)
    assert plan.round == 30 and names(plan.present) == ["a", "b", "c"] and plan.later == []


def test_a_language_that_had_ended_by_then_is_not_needed() -> None:
    plan = plan_restart([at("a", 40), at("b", 30), at("c", 30, status=FINISHED)], furthest_back=20)
    assert names(plan.present) == ["a", "b"]


def test_a_language_admitted_later_waits_for_its_turn() -> None:
    plan = plan_restart([at("a", 30), at("b", 44, admitted=38), at("c", 42, admitted=36)], furthest_back=20)
    assert plan.round == 30 and names(plan.present) == ["a"] and names(plan.later) == ["c", "b"]


def test_a_finished_run_has_nothing_to_go_on_with() -> None:
    plan = plan_restart([at("a", 40, status=FINISHED), at("b", 60, status=FINISHED)], furthest_back=20)
    assert plan.round == 60 and plan.present == []


def test_a_language_far_behind_is_not_waited_for() -> None:
    plan = plan_restart([at("a", 1000), at("b", 100, admitted=20)], furthest_back=50)
    assert plan.round == 1000 and names(plan.present) == ["a", "b"]
    straggler = plan.present[1]
    assert straggler.round == 1000 and straggler.admitted_round == 920


@pytest.mark.parametrize(("admitted", "is_present"), [(29, True), (30, True), (31, False), (32, False)])
def test_a_language_is_present_if_it_was_admitted_by_the_round(admitted: int, is_present: bool) -> None:
    plan = plan_restart([at("a", 30), at("b", 44, admitted=admitted)], furthest_back=20)
    assert plan.round == 30
    assert (names(plan.present), names(plan.later)) == ((["a", "b"], []) if is_present else (["a"], ["b"]))


@pytest.mark.parametrize(("behind", "goes_on_from"), [(19, 81), (20, 80), (21, 100)])
def test_one_is_waited_for_up_to_the_furthest_back_and_no_further(behind: int, goes_on_from: int) -> None:
    plan = plan_restart([at("a", 100), at("b", 100 - behind)], furthest_back=20)
    assert plan.round == goes_on_from and names(plan.present) == ["a", "b"]
    assert [each.round for each in plan.present] == [100, goes_on_from]


def test_the_limit_counts_from_the_newest_checkpoint_of_any_language() -> None:
    plan = plan_restart([at("a", 100, status=FINISHED), at("b", 95), at("c", 70)], furthest_back=20)
    assert plan.round == 95
    assert names(plan.present) == ["a", "b", "c"]


def test_only_an_open_language_decides_where_to_go_on() -> None:
    plan = plan_restart([at("a", 100), at("b", 90, status=FINISHED), at("c", 85, status=QUARANTINED)], furthest_back=50)
    assert plan.round == 100 and names(plan.present) == ["a"]


def test_those_that_come_later_keep_the_order_of_their_first_admission() -> None:
    found = [at("a", 10), at("z", 30, admitted=20), at("c", 30, admitted=25), at("b", 30, admitted=25)]
    assert names(plan_restart(found, furthest_back=40).later) == ["z", "b", "c"]


def waiting(language: str, seconds_left: float, restored: Progress | None = None) -> QueuedLanguage:
    return QueuedLanguage(Work(language, 1.0), seconds_left, restored)


def test_the_queue_is_served_longest_work_first_into_what_room_there_is() -> None:
    order = order_of_admission([waiting("b", 5.0), waiting("a", 5.0), waiting("c", 9.0)])
    assert [queued.language for queued in order] == ["c", "a", "b"]
    scheduler = LanguageScheduler(Ranks(slots=2), present=[], queue=order, ended=0)
    assert scheduler.fill(0) == ["c", "a"]
    assert scheduler.fill(1) == [] and scheduler.waiting == 1
    scheduler.release(["c"])
    assert scheduler.fill(7) == ["b"] and scheduler.ended == 1
    assert scheduler.in_order() == ["a", "b"]


def test_languages_of_higher_priority_leave_the_queue_first() -> None:
    entries = [
        LanguageSummary(
            language=code,
            utterances=9,
            seconds=9.0,
            left_out=0,
            vocabulary_size=9,
            steps=steps,
            batch_seconds=1.0,
            priority=priority,
        )
        for code, steps, priority in (("a", 5, 0), ("b", 9, 0), ("c", 1, 1))
    ]
    order = order_of_admission(map(QueuedLanguage.of, entries))
    assert [queued.language for queued in order] == ["c", "b", "a"]


def test_a_language_that_had_ended_before_its_turn_takes_no_slot() -> None:
    ended = waiting("a", 0.0, at("a", 50, admitted=40, status=FINISHED))
    scheduler = LanguageScheduler(Ranks(slots=1), present=[], queue=[ended], ended=1)
    assert scheduler.fill(60) == [] and scheduler.waiting == 0 and scheduler.ended == 1


def test_an_ended_language_replays_only_where_it_was_present() -> None:
    ended = waiting("a", 0.0, at("a", 50, admitted=40, status=FINISHED))
    assert [ended.has_ended(number) for number in (39, 40, 49, 50)] == [True, False, False, True]
    changed = replace(ended, unchanged=False)  # its batches of then cannot be had again
    assert changed.has_ended(45)


def test_one_that_only_kept_company_is_not_counted_twice() -> None:
    ended = waiting("a", 0.0, at("a", 50, admitted=40, status=FINISHED))
    scheduler = LanguageScheduler(Ranks(slots=1), present=[ended], queue=[], ended=1)
    assert scheduler.fill(45) == ["a"]
    scheduler.release(["a"])
    assert scheduler.ended == 1


@pytest.mark.parametrize(
    ("round_number", "keeps", "ended"),
    [(39, False, True), (40, True, False), (49, True, False), (50, True, True), (51, False, True)],
)
def test_a_finished_language_replays_from_admission_to_its_last_round(
    round_number: int, keeps: bool, ended: bool
) -> None:
    queued = waiting("a", 0.0, at("a", 50, admitted=40, status=FINISHED))
    assert queued.is_replaying(round_number) == keeps
    assert queued.has_ended(round_number) == ended
    open_one = waiting("a", 1.0, at("a", 50, admitted=40))
    assert not open_one.has_ended(round_number)


def test_present_languages_come_before_the_queue() -> None:
    scheduler = LanguageScheduler(
        Ranks(slots=2), present=[waiting("z", 1.0, at("z", 5))], queue=[waiting("a", 9.0), waiting("b", 8.0)], ended=0
    )
    assert scheduler.fill(5) == ["z", "a"] and scheduler.waiting == 1 and scheduler.in_order() == ["a", "z"]
