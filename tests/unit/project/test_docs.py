"""README and the pages under docs/ say what the code says."""

import re
from collections import Counter
from pathlib import Path

import pytest

from mms_dist.hardware.resolve import (
    CPU_FEATURE_CACHE_GIB,
    CPU_FORWARD_SECONDS,
    FORWARD_COST_SECONDS,
    GPU_FORWARD_SECONDS,
    MEMORY_SHARE,
    MIN_ROUNDS_TO_COMPILE,
)
from mms_dist.machine import MAX_WORKERS, MAX_WORKERS_BESIDE_A_CPU_MODEL
from mms_dist.run_directory.paths import HARDWARE_NAME
from shards.drops import REASONS
from tests.doc_commands import problems
from tests.gpu.schedule import ITEMS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
README_LINES = 150


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_path_of_a_page_exists(page: Path) -> None:
    assert problems(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_readme_links_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page.suffixes == [".md"] and f"(docs/{page.name})" not in readme] == []


@pytest.mark.parametrize(
    "line",
    [
        "mms-dist trian --config configs/train/mms-300m.yaml",
        "mms-dist train --config configs/train/mms-300m.yaml --optim.learningrate 1",
        "mms-dist train --config configs/train/mms-301m.yaml",
        "mms-dist train configs/train/mms-300m.yaml",
        "mms-dist shards build recordings.tsv corpus/ --max-second 20",
        "mms-dist eval RUN --split text",
        "accelerate launch --config_fle configs/accelerate/one_gpu.yaml -m launcher.train --config CONFIG",
        "accelerate launch --config_file configs/accelerate/none.yaml -m launcher.train --config CONFIG",
        "accelerate launch -m launcher.train \\\n  --config CONFIG --comm.process 8",
        "torchrun --processes 2 -m launcher.train --config CONFIG",
        "deepspeed --num_gpus 8 --module launcher.train --config CONFIG --model.dtype float8",
        "python -m tests.gpu --output results",
        "python -m tests.benchmarks --only pading",
        "srun --nodes 2 bash -c 'RANK=0 python -m launcher.train --config CONFIG --comm.n 1'",
        "sbatch --nodes=4 slurm/train.sbatch configs/train/mms-300m.yaml --optim.learning_rates 5e-4",
        "sbatch slurm/trian.sbatch configs/train/mms-300m.yaml",
        "make tests",
    ],
)
def test_a_mistake_in_a_command_is_noticed(line: str) -> None:
    assert problems(f"Text.\n\n```\n{line}\n```\n")
    indented = "".join(f"    {part}\n" for part in line.splitlines())
    assert problems(f"Text.\n\n{indented}")


def test_a_mistake_in_a_command_or_path_of_the_text_is_noticed() -> None:
    for code in (
        "python -m tests.gpu --output DIR",
        "mms-dist report RUN --plots FILE",
        "mms-dist reports",
        "mms_dist/config/shema.py",
        "make tests",
    ):
        assert problems(f"Type `{code}` there.\n")


def test_placeholders_comments_and_output_are_understood() -> None:
    typed = "$ mms-dist plan --config CONFIG --nodes N --gpus 8 \\\n    --speed 500   # it's an example"
    assert problems(f"```\n{typed}\nskew % isn't known\n```\n") == []
    assert problems("```\nmms-dist submit … --sbatch signal=B:USR1@600\n```\n") == []


@pytest.mark.parametrize("link", ["docs/none.md", "docs/data.md#none", "#none", "configs/none.yaml"])
def test_a_broken_link_is_noticed(link: str) -> None:
    assert broken_links(ROOT / "README.md", f"# Title\n\n[text]({link})\n") == [link]


def broken_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if "://" in link or (target.exists() and not anchor):
            continue
        shown = "" if not target.is_file() else text if target == page else target.read_text(encoding="utf-8")
        if anchor not in _anchors(shown):
            found.append(link)
    return found


def test_the_data_page_explains_every_reason_for_leaving_samples_out() -> None:
    section = (DOCS / "data.md").read_text(encoding="utf-8").partition("\n## Reasons\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", section, re.MULTILINE)
    assert rows == [(name, reason.meaning) for name, reason in REASONS.items()]


def test_the_gpu_page_says_what_is_chosen_from_the_hardware() -> None:
    page = " ".join((DOCS / "gpu.md").read_text(encoding="utf-8").split())
    *most, least = (f"{seconds:g}" for seconds in GPU_FORWARD_SECONDS)
    for said in (
        f"the largest of {', '.join(most)} and {least} s whose estimated memory is at most {MEMORY_SHARE:.0%}".replace(
            "%", " %"
        ),
        f"| {CPU_FORWARD_SECONDS:g} s |",
        f"| on in a run of {MIN_ROUNDS_TO_COMPILE} rounds or more",
        f"as much as {FORWARD_COST_SECONDS['gpu']:g} s of audio on a GPU, {FORWARD_COST_SECONDS['cpu']:g} s on a CPU",
        f"between 1 and {MAX_WORKERS} | the same, {MAX_WORKERS_BESIDE_A_CPU_MODEL} at most |",
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
    """Of its headings, as GitHub makes them: a heading that occurs again has a number."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ (.+?)\s*#*$", plain, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors
