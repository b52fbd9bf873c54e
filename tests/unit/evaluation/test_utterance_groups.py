"""Groups are those that the shards tell, and each is scored like a split of its own."""

import numpy as np
import pytest

from mms_dist.evaluation.metrics import measure, score
from mms_dist.evaluation.utterance_groups import MOST_GROUPS, OTHERS, UNNAMED, Attributes, corpora, group_scores

REFERENCES = ["abcd", "efgh", "ij", "klmn"]
HYPOTHESES = ["abcx", "efgh", "", "klmnop"]
MEASURED = measure(REFERENCES, HYPOTHESES)


def test_a_group_has_the_scores_of_its_utterances() -> None:
    groups = group_scores(MEASURED, [Attributes(1, "ann"), Attributes(2, "bob"), Attributes(3), Attributes(99, "ann")])
    ann = groups["speaker"]["ann"]
    assert ann.scores == score(REFERENCES[::3], HYPOTHESES[::3]) and ann.seconds == 100
    assert set(groups["speaker"]) == {"ann", "bob", UNNAMED}
    assert set(groups["duration"]) == {"under 2 s", "2-5 s", "20 s and more"}
    assert "source" not in groups and "tag" not in groups


def test_every_utterance_is_in_one_group_of_a_kind_and_sums_agree() -> None:
    attributes = [Attributes(seconds, speaker) for seconds, speaker in ((1, "a"), (2, "b"), (12, "a"), (30, "c"))]
    whole = MEASURED.scores()
    for own in group_scores(MEASURED, attributes).values():
        assert sum(each.scores.utterances for each in own.values()) == 4
        assert sum(each.scores.character_edits.total for each in own.values()) == whole.character_edits.total
        assert sum(each.scores.reference_words for each in own.values()) == whole.reference_words


def test_tags_group_by_value_unless_the_value_is_the_utterances_own() -> None:
    tags = [{"accent": "north", "numbers": "7"}, {"accent": "north", "numbers": "12 3"}, {"accent": "south"}, {}]
    groups = group_scores(MEASURED, [Attributes(1, tags=own) for own in tags])
    assert {name: each.scores.utterances for name, each in groups["tag"].items()} == {
        "accent=north": 2,
        "accent=south": 1,
        "numbers": 2,
        UNNAMED: 1,
    }


def test_many_groups_are_kept_up_to_a_number_and_the_rest_together() -> None:
    count = 2 * MOST_GROUPS
    measured = measure(["ab" * (1 + number) for number in range(count)], ["ab"] * count)
    own = group_scores(measured, [Attributes(1, f"speaker {number}") for number in range(count)])["speaker"]
    assert len(own) == MOST_GROUPS and f"speaker {count - 1}" in own and "speaker 0" not in own
    assert own[OTHERS].scores.utterances == count - MOST_GROUPS + 1
    assert sum(each.scores.utterances for each in own.values()) == len(measured) == count


@pytest.mark.parametrize(
    ("sources", "named", "expected"),
    [
        (["radio", "radio", "tv", "tv"], [], ["radio", "radio", "tv", "tv"]),
        (["a/1.wav", "a/2.wav", "b/c/3.wav", "b/c/4.wav"], [], ["a", "a", "b/c", "b/c"]),
        (["cv/clips/1", "cv/clips/2", "fleurs/test/3"], ["cv", "fleurs"], ["cv", "cv", "fleurs"]),
        (["hf://x/test.parquet:1", "hf://x/test.parquet:2"], [], ["hf://x/test.parquet"] * 2),
        (["1.wav", "2.wav", "3.wav"], [], ["", "", ""]),
        (["", "", ""], [], ["", "", ""]),
    ],
)
def test_a_source_is_a_corpus_or_folder_and_not_a_recording(
    sources: list[str], named: list[str], expected: list[str]
) -> None:
    assert corpora(sources, named) == expected


def test_a_chosen_part_is_scored_as_if_it_were_alone() -> None:
    chosen = np.array([1, 2])
    assert MEASURED.of(chosen).scores() == score(REFERENCES[1:3], HYPOTHESES[1:3])
