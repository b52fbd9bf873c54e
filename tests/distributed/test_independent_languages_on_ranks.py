"""I6 on several ranks: what is done to one language's folder leaves every file of the others as it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import run_ranks, written
from tests.integration.test_independent_languages import admitted, files_of
from tests.training import final_row, toy_config

OWNED, SHARED, OTHER = LANGUAGES = toy_languages(3)
BLOCKS = {
    2: {OWNED: (1, 1), SHARED: (0, 2), OTHER: (0, 1)},
    4: {OWNED: (3, 1), SHARED: (0, 4), OTHER: (2, 2)},
}
KEPT = 2
Deed = Callable[[CheckpointStore, str], None]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("independent"), languages=3, train=8, dev=2)


@pytest.fixture(scope="module", params=BLOCKS, ids="{} ranks".format)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path
) -> tuple[Path, int]:
    """A run's directory, and how many ranks finished it."""
    directory = tmp_path_factory.mktemp("finished")
    run(setting(directory, small_base, shards), request.param)
    return directory, request.param


def setting(directory: Path, base: Path, shards: Path) -> Config:
    return toy_config(directory, base, shards, checkpoint={"every_rounds": 4, "keep": KEPT})


def run(config: Config, world: int) -> None:
    with written(config) as path:
        notes = {"config": str(path), "blocks": BLOCKS[world]}
        run_ranks(world, "tests.distributed.placements:train_with_owners", notes)


def delete(store: CheckpointStore, language: str) -> None:
    store.delete(language)


def roll_back(store: CheckpointStore, language: str) -> None:
    store.roll_back(language, 8)


def flip_one_byte(store: CheckpointStore, language: str) -> None:
    newest = (store.directory / language / "last").resolve()
    path = max((path for path in newest.iterdir() if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def as_found(directory: Path, *languages: str) -> dict[Path, tuple[bytes, int]]:
    """Names, bytes and times of all files of these languages."""
    return {path: (content, path.lstat().st_mtime_ns) for path, content in files_of(directory, *languages).items()}


@pytest.mark.parametrize("deed", [delete, roll_back, flip_one_byte], ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("language", [OWNED, SHARED], ids=["owned by one", "shared by all"])
def test_a_language_is_trained_again_alone_and_no_file_of_another_changes(
    tmp_path: Path, small_base: Path, shards: Path, finished: tuple[Path, int], language: str, deed: Deed
) -> None:
    directory, world = finished
    here = shutil.copytree(directory, tmp_path / "run", symlinks=True)
    row, others = final_row(here, language), [code for code in LANGUAGES if code != language]
    with CheckpointStore(here / "adapters", keep=KEPT) as store:
        deed(store, language)
    before, told = as_found(here, *others), (here / "events.jsonl").read_text().count("\n")
    run(setting(here, small_base, shards), world)
    assert as_found(here, *others) == before and len(before) > 0
    assert admitted(here, told) == [language]
    assert (here / "adapters" / language / "last").resolve().name == "step-00000012"
    if deed is not delete:  # from its last whole checkpoint, beside the same languages
        assert final_row(here, language).equal(row)
