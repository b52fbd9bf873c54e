"""How tests are written: short names, no private name of the product replaced, and folders that mirror the packages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests"
UNIT = TESTS / "unit"
LONGEST_NAME = 70
WITHOUT_TESTS_OF_THEIR_OWN = frozenset({"tiny_mms", "shards/demo"})
"""Data: the shipped base (tests/unit/tools) and the demo's recordings."""
OF_OTHER_LIBRARIES = frozenset({"_active", "_attn_implementation"})
"""Private names of Triton and transformers, which have no public ones for the driver in use, and for the attention of a
module made from a configuration."""

_PRIVATE = re.compile(r"(?:[\w.]+\.)?(_[A-Za-z]\w*)")
Line = tuple[str, str]
"""A place in a file, and a name."""


def test_names_of_tests_are_at_most_70_characters_long() -> None:
    found = [line for path in TESTS.rglob("*.py") for line in long_names(path)]
    assert not found, _told(found)


def test_no_test_replaces_a_private_name() -> None:
    found = [line for path in TESTS.rglob("*.py") for line in replaced_private_names(_tree(path), _place(path))]
    assert not [line for line in found if line[1] not in OF_OTHER_LIBRARIES], _told(found)


def test_every_package_has_a_folder_of_unit_tests() -> None:
    missing = {folder for folder in folders_of_packages() if not list((UNIT / folder).rglob("test_*.py"))}
    assert not missing
    assert not list(UNIT.glob("test_*.py")), "a test lies in the folder of its package"


def test_each_way_to_replace_a_private_name_is_found() -> None:
    ways = [
        "loop._round = watched",
        "components.loop._round, count = watched, 1",
        "loop._rounds += 1",
        "monkeypatch.setattr(loop, '_round', watched)",
        "monkeypatch.setattr('mms_dist.training.loop._round', watched)",
        "with mock.patch.object(Loop, '_round', watched): pass",
        "setattr(loop, '_round', watched)",
        "del loop._round",
        "before(Loop, '_round', watched)",
        "monkeypatch.setattr(_round, 'open', watched)",
    ]
    for way in ways:
        assert [name for _, name in replaced_private_names(ast.parse(way), "")] == ["_round" + "s" * ("+=" in way)], way


def test_what_replaces_no_private_name_is_not_found() -> None:
    for good in [
        "self._round = 1",
        "loop.round = watched",
        "monkeypatch.setattr(loop, 'round', _watched)",
        "loop._round",
    ]:
        assert not list(replaced_private_names(ast.parse(good), "")), good


def long_names(path: Path) -> Iterator[Line]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > LONGEST_NAME:
            yield f"{_place(path)}:{node.lineno}", node.name


def replaced_private_names(tree: ast.AST, place: str) -> Iterator[Line]:
    """Assignments and deletions of private attributes of anything but `self`; private names that a call is given as a
    path or after the object that has them, to replace them; and private objects of which a part is replaced."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and _PRIVATE.fullmatch(node.attr):
                yield f"{place}:{node.lineno}", node.attr
        elif isinstance(node, ast.Call) and node.args:
            first, second = (*node.args, None)[:2]
            replaces = _called(node).startswith(("setattr", "patch", "object"))
            if replaces and isinstance(first, ast.Name) and _PRIVATE.fullmatch(first.id):
                yield f"{place}:{node.lineno}", first.id
            for text in (first if replaces else None, second):
                if isinstance(text, ast.Constant) and (name := _PRIVATE.fullmatch(str(text.value))):
                    yield f"{place}:{node.lineno}", name[1]


def folders_of_packages() -> Iterator[str]:
    """Under tests/unit: of each package in mms_dist by its name, of each in launcher and shards under theirs."""
    for root in ("mms_dist", "launcher", "shards"):
        for package in sorted((ROOT / root).glob("*/__init__.py")):
            folder = package.parent.name if root == "mms_dist" else f"{root}/{package.parent.name}"
            if folder not in WITHOUT_TESTS_OF_THEIR_OWN:
                yield folder


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _told(lines: list[Line]) -> str:
    return "\n".join(f"{place} {name}" for place, name in sorted(lines))
