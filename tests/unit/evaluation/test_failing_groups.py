"""A group stands out if it is worse than its language by more than chance."""

import io

from rich.console import Console

from mms_dist.evaluation.failing_groups import Grouped, compared_groups, group_rows, standing_out
from mms_dist.evaluation.failure_tables import (
    confusion_lines,
    confusion_table,
    confusion_text,
    group_lines,
    group_table,
)
from mms_dist.evaluation.metrics import measure
from mms_dist.evaluation.text_edits import confusions
from mms_dist.evaluation.utterance_groups import Attributes, group_scores

TEXT = "abcdefghij"


def language(wrong: dict[str, int], *, of: int = 20, seconds: float = 1.0) -> Grouped:
    """A language of several speakers with `of` utterances each, so many of which are wrong in every character."""
    hypotheses = ["" if number < count else TEXT for count in wrong.values() for number in range(of)]
    measured = measure([TEXT] * len(hypotheses), hypotheses)
    attributes = [Attributes(seconds, name) for name in wrong for _ in range(of)]
    return Grouped(measured.scores(), group_scores(measured, attributes))


def shown(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(renderable)
    return console.export_text()


FAILING = {"ron": language({"ann": 2, "bob": 16}), "hun": language({"cyd": 5, "dee": 6}, seconds=3)}


def test_only_what_is_worse_by_more_than_chance_stands_out() -> None:
    (found,) = standing_out(FAILING)
    assert (found.language, found.kind, found.name, round(found.change, 6)) == ("ron", "speaker", "bob", 0.35)
    assert standing_out({"ron": language({"ann": 0, "bob": 4}, of=4)}) == []  # too few utterances to be sure


def test_the_groups_of_a_language_begin_with_those_that_cost_most() -> None:
    assert [each.name for each in compared_groups("ron", FAILING["ron"])] == ["bob", "ann"]


def test_rates_are_means_over_the_languages_that_have_the_group() -> None:
    both = {"ron": language({"ann": 2, "bob": 10}), "hun": language({"ann": 4, "cyd": 20})}
    rows = {row.name: row for row in group_rows(both, "speaker")}
    ann = rows["ann"]
    assert (ann.languages, ann.utterances, ann.worst) == (["hun", "ron"], 40, "hun")
    assert (round(ann.cer, 6), round(ann.change, 6)) == (0.15, -0.3)
    assert list(rows) == ["cyd", "bob", "ann"]


def test_durations_are_in_order() -> None:
    measured = measure([TEXT] * 3, ["", TEXT, TEXT])
    found = Grouped(measured.scores(), group_scores(measured, [Attributes(30), Attributes(1), Attributes(3)]))
    assert [row.name for row in group_rows({"ron": found}, "duration")] == ["under 2 s", "2-5 s", "20 s and more"]


def test_a_kind_with_one_group_in_every_language_has_no_table() -> None:
    assert group_table({"ron": language({"ann": 3})}, "speaker") is None
    assert group_table(FAILING, "tag") is None


def test_tables_and_lines_show_the_groups_and_confusions() -> None:
    table = shown(group_table(FAILING, "speaker"))
    assert table.index("bob") < table.index("dee") and "+35.0" in table and "80.0" in table
    assert any("ron  speaker bob: CER 80.0 %, +35.0 against all of it" in line for line in group_lines(FAILING))
    found = {"ron": confusions([("ab a", "oboa")] * 2), "hun": confusions([("ab", "ab")])}
    assert confusion_text(found["ron"].characters) == "␣→o 2, a→o 2"
    assert list(confusion_lines(found))[1:] == ["  ron  ␣→o 2, a→o 2"]
    assert "a→o 2" in shown(confusion_table(found))
