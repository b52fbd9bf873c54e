"""The suite's checks as pytest tests, on a machine with a GPU: the parts that check something, as the suite runs it.

Speed is measured by `python -m tests.gpu`, which see.
"""

from pathlib import Path

import pytest

from tests.gpu.marker import no_gpu
from tests.gpu.runner import LOG, Runner
from tests.gpu.schedule import ITEMS, Item, chosen
from tests.gpu.summary import failed_parts, left_out

CHECKS = (
    *("environment", "correctness", "independence", "objective", "attention"),
    *("kernels", "product", "memory", "features", "zero3"),
)
START_SECONDS = 120.0
"""In which everything is imported."""
REASON = no_gpu()


@pytest.mark.gpu
@pytest.mark.skipif(bool(REASON), reason=REASON or "there is one")
@pytest.mark.parametrize("item", [item for item in ITEMS if item.name in CHECKS], ids=lambda item: item.name)
def test_on_a_gpu_every_check_passes(item: Item, tmp_path: Path) -> None:
    items = chosen([item.name])  # and the environment: what a run has to choose depends on the card
    parts = Runner(tmp_path, budget=sum(one.limit for one in items) + START_SECONDS, smoke=False).run(items)
    assert not failed_parts(parts), (tmp_path / LOG).read_text()
    if missing := left_out(parts):
        pytest.skip(f"passed but for what was left out: {', '.join(missing)}")
