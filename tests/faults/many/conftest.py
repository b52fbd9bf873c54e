"""Shards for all runs, and the run that nothing happened to."""

from pathlib import Path

import pytest

from tests.corpus import build_toy_shards
from tests.faults.many.runs import LANGUAGES, many_config, run_to_the_end


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("many"), languages=len(LANGUAGES), train=8, dev=2)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Path:
    """The directory of the run on two processes that nobody interrupted."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    run_to_the_end(many_config(directory, small_base, shards))
    return directory
