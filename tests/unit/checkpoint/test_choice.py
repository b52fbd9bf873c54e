"""Which checkpoint of a language is worth handing out: of after a step, or a start that was trained elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mms_dist.checkpoint.choice import ExportChoice
from mms_dist.checkpoint.initial_adapters import has_trained_head
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError, NothingToExport
from tests.checkpoint_samples import sample

Make = Callable[..., CheckpointStore]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def fill(steps: dict[str, list[int]], best: dict[str, int], marked: tuple[str, ...] = ()) -> CheckpointStore:
        store = CheckpointStore(tmp_path / "adapters", keep=5)
        for language, taken in steps.items():
            for step in taken:
                store.save(sample(language, step), best=best.get(language) == step)
        for language in marked:
            mark = tmp_path / "adapters" / language / "QUARANTINED.json"
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text('{"step": 3, "reason": "its loss is nan"}')
        return store

    return fill


def choice(
    store: CheckpointStore, *, pointer: PointerName = "best", asked: bool = False, trained_start: bool = False
) -> ExportChoice:
    return ExportChoice(store, pointer, asked, lambda language: trained_start)


@pytest.mark.parametrize(
    ("best", "pointer", "trained_start", "expected"),
    [
        (0, "best", False, (4, "last")),  # a random start is no result, however good the others were not
        (0, "best", True, (0, "best")),  # training has not improved on an adapter that came with its head
        (2, "best", False, (2, "best")),
        (2, "best", True, (2, "best")),
        (0, "last", False, (4, "last")),
        (None, "best", False, (4, "last")),
    ],
)
def test_the_best_before_the_first_step_counts_only_if_it_was_trained(
    make: Make, best: int | None, pointer: PointerName, trained_start: bool, expected: tuple[int, str]
) -> None:
    with make({"ron": [0, 2, 4]}, {} if best is None else {"ron": best}) as store:
        snapshot, used = choice(store, pointer=pointer, trained_start=trained_start).load("ron")
    assert (snapshot.step, used) == expected


def test_a_start_is_not_what_damage_may_leave(make: Make) -> None:
    with make({"ron": [0, 4]}, {"ron": 4}) as store:
        (store.directory / "ron" / "step-00000004" / "state.json").write_bytes(b"damaged")
        with pytest.raises(CheckpointError, match="the only complete checkpoint of ron is from before its first"):
            choice(store).load("ron")


def test_languages_are_left_out_by_what_they_are(make: Make) -> None:
    steps = {"deu": [0, 4], "ita": [0], "ron": [0, 4], "spa": [0]}
    with make(steps, {}, marked=("ron", "spa", "tur")) as store:
        chosen, left_out = choice(store).select(None)
        assert chosen == ["deu"] and set(left_out) == {"ita", "ron", "spa", "tur"}
        assert left_out["ron"] == "in quarantine since step 3: its loss is nan"
        chosen, left_out = choice(store, asked=True).select(None)
        assert chosen == ["deu", "ron"] and set(left_out) == {"ita", "spa", "tur"}
        assert choice(store, asked=True).select(["ron"]) == (["ron"], {})
        for asked in (False, True):
            with pytest.raises(CheckpointError) as error:
                choice(store, asked=asked).select(["deu", "spa"])
            assert "spa cannot be exported" in str(error.value)
            assert "--include-quarantined" not in str(error.value), "it would not help"
        with pytest.raises(CheckpointError, match="--include-quarantined"):
            choice(store).select(["ron"])


def test_nothing_that_is_trained_is_nothing_to_export(make: Make) -> None:
    with make({"ita": [0]}, {}, marked=("tur",)) as store, pytest.raises(NothingToExport) as error:
        choice(store).select(None)
    assert error.value.exit_code == 1
    assert "ita" in str(error.value) and "tur" in str(error.value)
    assert "--include-quarantined" not in str(error.value), "no language has a step to include"


@pytest.mark.parametrize(
    ("init", "expected"),
    [("mms", False), ("identity", False), ("runs/other/export", True), ("runs/other/adapter.ron.safetensors", False)],
)
def test_only_a_folder_brings_a_head_that_was_trained(init: str, expected: bool) -> None:
    assert has_trained_head(init) is expected
