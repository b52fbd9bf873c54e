"""The pages under docs/ say what the code says."""

import re
from pathlib import Path

from mms_dist.machine import MOST_WORKERS, MOST_WORKERS_BESIDE_A_CPU_MODEL
from mms_dist.training.hardware_record import HARDWARE_NAME
from mms_dist.training.resolve import (
    CPU_FEATURE_CACHE_GIB,
    CPU_FORWARD_SECONDS,
    FEWEST_ROUNDS_TO_COMPILE,
    FORWARD_COST_SECONDS,
    GPU_FORWARD_SECONDS,
    MEMORY_SHARE,
)
from shards.drops import REASONS
from tests.gpu.schedule import ITEMS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_data_page_explains_every_reason_for_which_something_is_left_out() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", (DOCS / "data.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(REASONS.items())


def test_every_link_of_a_page_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")]
    anchors = {page: _anchors(page.read_text(encoding="utf-8")) for page in pages}
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors[target], f"{page.name}: {link}"


def test_the_gpu_page_says_what_is_chosen_from_the_hardware() -> None:
    page = " ".join((DOCS / "gpu.md").read_text(encoding="utf-8").split())
    *most, least = (f"{seconds:g}" for seconds in GPU_FORWARD_SECONDS)
    for said in (
        f"the largest of {', '.join(most)} and {least} s whose estimated memory is at most {MEMORY_SHARE:.0%}".replace(
            "%", " %"
        ),
        f"| {CPU_FORWARD_SECONDS:g} s |",
        f"| on in a run of {FEWEST_ROUNDS_TO_COMPILE} rounds or more",
        f"as much as {FORWARD_COST_SECONDS['gpu']:g} s of audio on a GPU, {FORWARD_COST_SECONDS['cpu']:g} s on a CPU",
        f"between 1 and {MOST_WORKERS} | the same, {MOST_WORKERS_BESIDE_A_CPU_MODEL} at most |",
        f"by the processes of the machine | {CPU_FEATURE_CACHE_GIB:g} |",
        f"RUN/{HARDWARE_NAME}",
    ):
        assert said in page, said


def test_the_gpu_page_explains_every_part_of_the_suite() -> None:
    table = (DOCS / "gpu.md").read_text(encoding="utf-8").partition("| part | what it shows |")[2].partition("\n\n")[0]
    named = re.findall(r"`([\w-]+)`", " ".join(row.split(" | ")[0] for row in table.splitlines()))
    assert named == [item.name for item in ITEMS], "in the order in which they run"
    assert f"Their limits sum to {sum(item.limit for item in ITEMS):,.0f} s" in (DOCS / "gpu.md").read_text("utf-8")


def _anchors(text: str) -> set[str]:
    """Of its headings, as Git hosts make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
