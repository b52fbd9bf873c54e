"""A later evaluation keeps the comparisons and conditions of an earlier one only where they still hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from mms_dist.evaluation.kept_results import keep_results, only_scored_before
from mms_dist.files import MAX_TEXT_BYTES


def evaluation(
    *, cer: float = 0.1, step: int = 5, conditions: tuple[str, ...] = (), others: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    own = {label: {"cer": 0.2} for label in conditions}
    language = {"cer": cer, "step": step, "decoder": {"name": "greedy"}}
    return {
        "base": "b",
        "shards": "s",
        "languages": {"taa": language | ({"conditions": own} if own else {})},
        **({"conditions": own} if own else {}),
        **({"comparisons": [{"other": other} for other in others]} if others else {}),
        **more,
    }


def kept(folder: Path, before: dict[str, Any], values: dict[str, Any]) -> tuple[dict[str, Any], str]:
    (folder / "test.json").write_text(json.dumps(before))
    found, lines = keep_results(folder / "test.json", values)
    return found, " ".join(lines)


def test_what_a_plain_evaluation_did_not_ask_for_is_kept(tmp_path: Path) -> None:
    before = evaluation(conditions=("noise:10", "reverb:0.3"), others=("runs/b",), noise="babble")
    found, told = kept(tmp_path, before, evaluation())
    assert found == before
    assert (
        "kept from before" in told and "the comparison with runs/b, and the scores under noise:10, reverb:0.3" in told
    )


def test_what_is_asked_for_again_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    before = evaluation(conditions=("noise:10", "reverb:0.3"), others=("runs/b", "runs/c"), noise="babble")
    now = evaluation(conditions=("noise:10", "soft:-20"), others=("runs/c", "runs/d"), noise="babble")
    now["conditions"]["noise:10"] = {"cer": 0.5}
    found, _ = kept(tmp_path, before, now)
    assert list(found["conditions"]) == ["reverb:0.3", "noise:10", "soft:-20"]
    assert found["conditions"]["noise:10"] == {"cer": 0.5}
    assert list(found["languages"]["taa"]["conditions"]) == list(found["conditions"])
    assert [each["other"] for each in found["comparisons"]] == ["runs/b", "runs/c", "runs/d"]


def test_noise_of_another_folder_is_another_condition(tmp_path: Path) -> None:
    before = evaluation(conditions=("noise:10", "soft:-20"), noise="babble")
    found, _ = kept(tmp_path, before, evaluation(conditions=("noise:5",), noise="street/"))
    assert list(found["conditions"]) == ["soft:-20", "noise:5"] and found["noise"] == "street/"


@pytest.mark.parametrize("change", [{"cer": 0.11}, {"step": 6}, {"shards": "t"}, {"base": "c"}])
def test_what_was_of_other_scores_is_not_kept_and_named(tmp_path: Path, change: dict[str, Any]) -> None:
    found, told = kept(tmp_path, evaluation(conditions=("noise:10",)), evaluation(**change))
    assert "conditions" not in found and "no longer in" in told and "noise:10; ask for it again" in told


def compared(other: str, *labels: str, cer: float = 0.2) -> dict[str, Any]:
    own = {"other": other, "kind": "model", "languages": {"taa": {"cer": cer, "step": None}}}
    return own | ({"conditions": {label: {"cer": 0.4} for label in labels}} if labels else {})


def test_a_models_scores_under_conditions_outlive_its_next_comparison(tmp_path: Path) -> None:
    before = evaluation(conditions=("soft:-20",), comparisons=[compared("b", "soft:-20")])
    found, told = kept(tmp_path, before, evaluation(comparisons=[compared("b")]))
    assert found == before and "the scores under soft:-20, and the scores of b under soft:-20" in told
    found, told = kept(tmp_path, before, evaluation(comparisons=[compared("b", cer=0.3)]))
    assert found["comparisons"] == [compared("b", cer=0.3)] and list(found["conditions"]) == ["soft:-20"]
    assert "as it was of other scores: the scores of b under soft:-20; ask" in told


def test_noise_of_another_folder_is_named_and_left_out_of_comparisons(tmp_path: Path) -> None:
    labels = ("noise:10", "soft:-20")
    before = evaluation(conditions=labels, comparisons=[compared("b", *labels), compared("c", *labels)], noise="babble")
    now = evaluation(conditions=("noise:10",), comparisons=[compared("c", "noise:10")], noise="street/")
    found, told = kept(tmp_path, before, now)
    assert {each["other"]: list(each["conditions"]) for each in found["comparisons"]} == {
        "b": ["soft:-20"],
        "c": ["soft:-20", "noise:10"],
    }
    assert "of other noise (babble): the scores of b under noise:10; ask" in told


@pytest.mark.parametrize(("sha256", "is_kept"), [("1", True), ("2", False)])
def test_a_tuned_language_model_is_known_by_its_checksum(tmp_path: Path, sha256: str, is_kept: bool) -> None:
    def searched(place: str, sha256: str, others: tuple[str, ...] = ()) -> dict[str, Any]:
        values = evaluation(others=others)
        tuned = {"language_model": place, "sha256": sha256, "alpha": 0.5}
        values["languages"]["taa"]["decoder"] = {"name": "beam_search", "language_model": place, "tuned": tuned}
        return values

    found, _ = kept(tmp_path, searched("lm.bin", "1", ("b",)), searched("/here/lm.bin", sha256))
    assert ("comparisons" in found) == is_kept


def test_a_file_of_any_size_is_read(tmp_path: Path) -> None:
    before = evaluation(others=("b",), more="x" * MAX_TEXT_BYTES)
    assert "the comparison with b" in kept(tmp_path, before, evaluation())[1]


@pytest.mark.parametrize("content", ["", "[]", '{"languages": 3}', '{"languages": {"taa": 1}}'])
def test_a_file_that_is_not_an_evaluation_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "test.json"
    assert keep_results(path, evaluation()) == (evaluation(), [])
    path.write_text(content)
    found, (told,) = keep_results(path, evaluation())
    assert found == evaluation() and f"{path} could not be read as an earlier evaluation" in told


def test_scores_that_a_failing_language_had_are_found(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    assert only_scored_before(path, ["taa"]) == []
    path.write_text(json.dumps(evaluation()))
    assert only_scored_before(path, ["taa", "tab"]) == ["taa"] and only_scored_before(path, ["tab"]) == []
