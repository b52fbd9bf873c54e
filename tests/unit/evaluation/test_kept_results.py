"""A later evaluation keeps the comparisons and conditions of an earlier one only where they still hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from mms_dist.evaluation.kept_results import keep_results


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


@pytest.mark.parametrize("content", ["", "[]", '{"languages": 3}', '{"languages": {"taa": 1}}'])
def test_a_file_that_is_no_evaluation_has_nothing_to_keep(tmp_path: Path, content: str) -> None:
    path = tmp_path / "test.json"
    assert keep_results(path, evaluation()) == (evaluation(), [])
    path.write_text(content)
    assert keep_results(path, evaluation()) == (evaluation(), [])
