"""A store of checkpoints for its tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mms_dist.checkpoint.store import CheckpointStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CheckpointStore]:
    with CheckpointStore(tmp_path / "adapters", keep=2) as opened:
        yield opened
