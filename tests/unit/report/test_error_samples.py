"""Which utterances a report shows."""

from mms_dist.evaluation.stored_evaluation import StoredUtterance
from mms_dist.report.error_samples import LONGEST_TEXT, MOST_UTTERANCES, of_a_kind, shown_utterances


def said(*pairs: tuple[str, str]) -> list[StoredUtterance]:
    return [StoredUtterance(f"clip{row}", *pair, row) for row, pair in enumerate(pairs)]


def test_the_worst_come_first_and_short_ones_only_without_others() -> None:
    utterances = said(("no", "xx"), ("hello there you", "hello there you"), ("hello there you", "hollow bear you"))
    worst, random = shown_utterances("ron", utterances, 1)
    assert (worst.key, worst.choice, random.choice) == ("clip2", "worst", "random")
    assert shown_utterances("ron", utterances[:1], 1)[0].choice == "worst"
    worst = [each for each in shown_utterances("ron", utterances, 3) if each.choice == "worst"]
    assert [each.key for each in worst] == ["clip2"], "no short one fills up: its CER would be out of order"


def test_a_perfect_utterance_is_never_among_the_worst() -> None:
    assert [each.choice for each in shown_utterances("ron", said(("all of it right",) * 2), 3)] == ["random"]


def test_the_same_utterances_are_random_for_every_run() -> None:
    good = [(f"the sentence {number}",) * 2 for number in range(50)]
    shown = [each.key for each in shown_utterances("ron", said(*good), 3)]
    assert shown == [each.key for each in shown_utterances("ron", said(*good)[::-1], 3)] and len(set(shown)) == 3
    assert shown != [each.key for each in shown_utterances("hun", said(*good), 3)]


def test_many_languages_get_fewer_utterances_each() -> None:
    assert [of_a_kind(number) for number in (1, 100, 150, 300, 1_000)] == [3, 3, 2, 1, 1]
    assert 2 * 100 * of_a_kind(100) <= MOST_UTTERANCES


def test_long_transcripts_are_cut() -> None:
    (shown,) = shown_utterances("ron", said(("word " * 900,) * 2), 1)
    assert len(shown.reference) == LONGEST_TEXT + 2
