"""What crosses between host and device is written in one module, so that a test can count it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3] / "mms_dist"
MAY = {
    "model/transfer.py": "the module",
    "distributed/comm.py": "waits for a collective to end, so that a rank that hangs is found there",
    "monitor/json_lines.py": "a number of any kind becomes one that JSON has",
    "debugging/checks/interoperable.py": "Hugging Face's model",
}
WORDS = {"cpu", "cuda", "pin_memory", "synchronize", "item"}


def crossings(path: Path) -> Iterator[str]:
    """What crosses or waits, by its form: `.tolist()` and `.numpy()` look alike for an array of the host."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, keywords = node.func.attr, {keyword.arg for keyword in node.keywords}
        if (
            name in WORDS
            or keywords & {"non_blocking", "pin_memory"}
            or (name in ("tensor", "as_tensor") and "device" in keywords)
            or (name == "to" and any(map(_is_device, [*node.args, *(keyword.value for keyword in node.keywords)])))
        ):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)[:80]}"


def _is_device(node: ast.expr) -> bool:
    return (
        (isinstance(node, ast.Name) and node.id == "device")
        or (isinstance(node, ast.Attribute) and node.attr == "device")
        or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    )


def test_no_other_module_copies_to_a_device_or_waits_for_one() -> None:
    paths = [path for path in ROOT.rglob("*.py") if "tiny_mms" not in path.parts]
    found = [line for path in paths if str(path.relative_to(ROOT)) not in MAY for line in crossings(path)]
    assert len(paths) > 100 and not found, "\n".join(found)
