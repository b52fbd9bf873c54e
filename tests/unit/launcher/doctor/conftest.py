"""A run with which nothing is wrong, made of parts that a test may break."""

import shutil
from pathlib import Path

import pytest

from launcher.doctor.checks import loader
from tests.corpus import build_toy_shards
from tests.doctoring import written_config


@pytest.fixture(scope="session")
def whole_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("doctor"), languages=2, train=9, dev=2, shard_utterances=4)


@pytest.fixture(autouse=True)
def _measured_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is looked at for a moment, and the device not at all, where it is not what a test is about."""
    monkeypatch.setattr(loader, "READ_SECONDS", 0.01)
    monkeypatch.setattr(loader, "measured_device", lambda config, summaries: 1.0)


@pytest.fixture
def shards(tmp_path: Path, whole_shards: Path) -> Path:
    """To be broken."""
    return Path(shutil.copytree(whole_shards, tmp_path / "corpus"))


@pytest.fixture
def base(tmp_path: Path, small_base: Path) -> Path:
    """To be broken."""
    return Path(shutil.copytree(small_base, tmp_path / "base"))


@pytest.fixture
def config(tmp_path: Path, base: Path, shards: Path) -> Path:
    return written_config(tmp_path, base, shards)
