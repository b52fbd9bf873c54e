"""What ranks own over a run, and what they say to each other."""

from pathlib import Path

import pytest

from mms_dist.config import Config
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import train_ranks
from tests.training import distance, final_row, start_row, toy_config, train

LANGUAGES = toy_languages(4)
NOTE = "tests.distributed.placements:note_rounds"
FLOAT32, INT32 = 4, 4


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("tail"), languages=4, train=12, dev=2)


def test_rank_groups_grow_as_languages_finish_and_nothing_is_lost(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    def setting(name: str) -> Config:
        return toy_config(
            tmp_path / name,
            small_base,
            shards,
            model={"dtype": "float64"},
            optim={"batch_seconds": 10.0},
            languages={code: {"optim": {"steps": steps}} for code, steps in zip(LANGUAGES, (4, 6, 8, 10), strict=True)},
        )

    train(setting("one"))
    ended = train_ranks(setting("four"), 4, watch=NOTE)
    placements = ended.notes[0]["placements"]
    assert all(notes["placements"] == placements for notes in ended.notes), "every rank knows the same owners"
    sizes = {number: sorted(size for _, size in owners.values()) for number, owners in placements.items()}
    for rank, notes in enumerate(ended.notes):
        for number, owners in placements.items():
            assert notes["reduced"].get(number, []) == shared_blocks(owners, rank), "one operation a block and round"
    assert sizes[1] == [1, 1, 1, 1] and sizes[5] == [2, 2, 4] and sizes[7] == [2, 2] and sizes[9] == [4]
    for language in LANGUAGES:
        start = start_row(tmp_path / f"start-{language}", language, setting("start"))
        assert distance(final_row(tmp_path / "four", language), final_row(tmp_path / "one", language), start) <= 1e-9


def shared_blocks(owners: dict[str, tuple[int, int]], rank: int) -> list[tuple[int, int]]:
    """The blocks of several ranks in which this rank owns languages, smallest first."""
    mine = {(first, size) for first, size in owners.values() if size > 1 and first <= rank < first + size}
    return sorted(mine, key=lambda group: (group[1], group[0]))


def test_ranks_exchange_one_vector_of_flags_a_round_until_a_report_is_due(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    """The report is the one other thing that is said, about once a second (`mms_dist.training.report_collector`)."""
    setting = toy_config(tmp_path / "run", small_base, shards)
    ended = train_ranks(setting, 4, watch=NOTE, notes={"reports": False})
    for notes in ended.notes:
        first, last = notes["traffic"][1], notes["traffic"][5]
        assert last["gradients"] == last["moved"] == 0 and notes["reduced"] == {}
        assert last["gathered"] - first["gathered"] == 0
        assert last["all_reduced"] - first["all_reduced"] == 4 * (2 + len(LANGUAGES)) * INT32


@pytest.mark.parametrize("count", [1, 2, 4])
def test_gradients_of_all_shared_languages_go_in_one_operation_a_round(
    tmp_path: Path, small_base: Path, shards: Path, count: int
) -> None:
    setting = toy_config(
        tmp_path / "run",
        small_base,
        shards,
        rounds={"placement": "replicate"},
        data={"languages": LANGUAGES[:count]},
    )
    ended = train_ranks(setting, 2, watch=NOTE)
    for notes in ended.notes:
        a_round = notes["traffic"][6]["gradients"] - notes["traffic"][5]["gradients"]
        assert a_round == FLOAT32 * (sum(notes["rows"].values()) + 3 * count)
        assert all(notes["reduced"][number] == [(0, 2)] for number in notes["traffic"])
