"""Every example of docs/extending.md works: its file, its registration and its test, in a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"
LINES_OF_A_SECTION = 100
COPIED, LINKED = ("mms_dist", "shards", "launcher", "tests"), ("configs", "pyproject.toml", "slurm")
_BLOCK = re.compile(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A section's blocks by the files that they name: new files, and lines to add to existing ones."""

    title: str
    lines: int
    files: dict[str, str] = field(default_factory=dict)
    registration: dict[str, str] = field(default_factory=dict)

    @property
    def tests(self) -> list[str]:
        return [name for name in self.files if name.startswith("tests/")]


def examples() -> Iterator[Example]:
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        example = Example(title, text.count("\n"))
        for kind, name, content in _BLOCK.findall(text):
            (example.files if kind == "python" else example.registration)[name] = content
        yield example


EXAMPLES = list(examples())


def registered(content: str, changes: str) -> str:
    """Add the lines with a + after the line before them; the first ones before the line after them."""
    lines = content.splitlines()
    shown = [line[1:] for line in changes.splitlines() if not line.startswith("+")]
    assert all(lines.count(line) == 1 for line in shown), shown
    place = lines.index(shown[0])
    for change in changes.splitlines():
        if change.startswith("+"):
            lines.insert(place, change[1:])
            place += 1
        else:
            place = lines.index(change[1:]) + 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with all examples in it."""
    copy = tmp_path_factory.mktemp("extended")
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "golden", "results"))
    for name in LINKED:
        (copy / name).symlink_to(ROOT / name)
    for example in EXAMPLES:
        for name, content in example.files.items():
            assert not (copy / name).exists(), name
            (copy / name).write_text(content, encoding="utf-8")
        for name, changes in example.registration.items():
            (copy / name).write_text(registered((copy / name).read_text(encoding="utf-8"), changes), encoding="utf-8")
    return copy


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_is_one_file_one_registration_and_one_test(example: Example) -> None:
    assert len(example.files) == 2 and len(example.tests) == 1 and len(example.registration) == 1
    (changes,) = example.registration.values()
    assert len([line for line in changes.splitlines() if line.startswith("+") and "import" not in line]) == 1
    assert example.lines <= LINES_OF_A_SECTION


@pytest.mark.timeout(300)
def test_the_examples_pass_their_own_tests(extended: Path) -> None:
    tests = [name for example in EXAMPLES for name in example.tests]
    environment = os.environ | {"PYTHONPATH": str(extended)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(extended), *tests]
    ran = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{sum(code.count('def test_') for code in _test_code())} passed" in ran.stdout


def test_the_examples_are_written_as_the_project_is(extended: Path) -> None:
    changed = [name for example in EXAMPLES for name in (*example.files, *example.registration)]
    for check in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", *changed],
            cwd=extended,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


def _test_code() -> Iterator[str]:
    for example in EXAMPLES:
        yield from (example.files[name] for name in example.tests)
