"""The pages under docs/ say what the code says."""

import re
from pathlib import Path

from shards.drops import REASONS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_data_page_explains_every_reason_for_which_something_is_left_out() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", (DOCS / "data.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(REASONS.items())
