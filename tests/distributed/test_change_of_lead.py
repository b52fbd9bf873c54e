"""A language's folder has one writer, also when its lead changes and the old one's disk is slow."""

import os
import time
from pathlib import Path
from unittest import mock

import pytest

from launcher import cli
from mms_dist.checkpoint.language_folder import LanguageFolder
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.scheduler import Ranks
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import run_ranks, written
from tests.distributed.worker import Notes
from tests.training import toy_config

LONG, SHORT = toy_languages(2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("lead"), languages=2, train=6, dev=2)


def train_with_a_slow_disk(notes: Notes) -> int:
    """Rank 1 owns the long language until the short one has ended, then both do; rank 1's disk is slow."""

    def place(ranks: Ranks, active: object) -> dict[str, RankGroup]:
        codes = {candidate.language for candidate in active}  # type: ignore[attr-defined]
        return {code: RankGroup(0, 2) if codes == {LONG} else RankGroup(int(code == LONG), 1) for code in codes}

    save = LanguageFolder.save

    def slowly(*args: object, **options: object) -> object:
        time.sleep(0.3 if os.environ["RANK"] == "1" else 0.0)
        return save(*args, **options)  # type: ignore[arg-type]

    with mock.patch.object(Ranks, "place", place), mock.patch.object(LanguageFolder, "save", slowly):
        return cli.main(["train", "--config", notes["config"]])


def test_the_last_checkpoint_is_the_newest_after_a_change_of_lead_rank(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    setting = toy_config(
        tmp_path / "run",
        small_base,
        shards,
        optim={"steps": 10, "warmup_steps": 1},
        languages={SHORT: {"optim": {"steps": 4}}},
        checkpoint={"every_rounds": 1, "keep": 2},
    )
    with written(setting) as path:
        run_ranks(2, "tests.distributed.test_change_of_lead:train_with_a_slow_disk", {"config": str(path)})
    with CheckpointStore(tmp_path / "run" / "adapters", keep=2) as store:
        assert store.pointed(LONG, "last") == 10 and store.steps(LONG)[-2:] == [9, 10]
        assert store.pointed(LONG, "best") in store.steps(LONG)
        assert store.load(LONG).step == 10 and store.damaged == []
