"""The import contract that import-linter cannot state: it does not look inside of torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PARTS = ("launcher", "mms_dist", "shards")


def imported(path: Path) -> Iterator[str]:
    """Names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            yield f"torch.{node.attr}"


def test_only_comm_and_process_group_use_torch_distributed() -> None:
    users = {
        str(path.relative_to(ROOT))
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        if any(name == "torch.distributed" or name.startswith("torch.distributed.") for name in imported(path))
    }
    assert users == {f"mms_dist/distributed/{name}.py" for name in ("comm", "process_group")}
