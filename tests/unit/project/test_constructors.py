"""Nine values in a row cannot be told apart where a constructor is called: it takes them by name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FEWEST = 9


def positional_parameters(definition: ast.ClassDef) -> int:
    """Count what the constructor takes by position: its own parameters, or the fields of a dataclass."""
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return len(statement.args.posonlyargs) + len(statement.args.args) - 1
    decorators = [ast.unparse(each) for each in definition.decorator_list]
    if not any(each.split("(")[0] == "dataclass" and "kw_only=True" not in each for each in decorators):
        return 0
    fields = [each for each in definition.body if isinstance(each, ast.AnnAssign)]
    return sum(
        "ClassVar" not in ast.unparse(each.annotation) and "init=False" not in ast.unparse(each) for each in fields
    )


def classes(code: str) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef))


@pytest.mark.parametrize("package", ["mms_dist", "shards", "launcher", "tools"])
def test_no_constructor_takes_nine_values_by_position(package: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {definition.name}"
        for path in (ROOT / package).rglob("*.py")
        for definition in classes(path.read_text(encoding="utf-8"))
        if positional_parameters(definition) >= FEWEST
    }
    assert found == set()


def test_such_a_constructor_is_found() -> None:
    names = "abcdefghi"
    fields = "\n".join(f"    {name}: int" for name in names)
    for code, expected in (
        (f"@dataclass(frozen=True)\nclass A:\n{fields}", 9),
        (f"@dataclass(frozen=True, kw_only=True)\nclass A:\n{fields}", 0),
        (f"class A:\n    def __init__(self, {', '.join(names)}): ...", 9),
        (f"class A:\n    def __init__(self, a, *, {', '.join(names[1:])}): ...", 1),
    ):
        (definition,) = classes(code)
        assert positional_parameters(definition) == expected
