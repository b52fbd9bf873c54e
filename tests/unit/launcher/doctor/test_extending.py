"""The example of a doctor check in the documentation works as it is printed."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from launcher.doctor import registry
from tests.doctoring import examined, failed

PAGE = Path(__file__).parents[4] / "docs" / "extending-doctor.part.md"
SECTION = "## A doctor check"


def blocks() -> list[str]:
    """Return the Python code of the section: the check, its registration and its test."""
    section = PAGE.read_text(encoding="utf-8").partition(f"{SECTION}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what the page says, but for files; return the name of the check."""
    check, registration, _ = blocks()
    monkeypatch.setattr(registry, "CHECKS", dict(registry.CHECKS))
    before = set(registry.CHECKS)
    exec(compile(registration, str(PAGE), "exec"), {"register_check": registry.register_check})
    (name,) = set(registry.CHECKS) - before
    module = ModuleType(registry.CHECKS[name])
    exec(compile(check, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return name


def test_the_doctor_runs_the_check_of_the_page(registered: str, config: Path) -> None:
    findings = examined(config)
    assert failed(findings) == {}
    (finding,) = (each for each in findings if each.check == registered)
    assert finding.status == "ok"


def test_the_test_of_the_page_passes(registered: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, object] = {}
    exec(compile(blocks()[2], str(PAGE), "exec"), namespace)
    (test,) = (value for name, value in namespace.items() if name.startswith("test_"))
    assert callable(test)
    test(config, monkeypatch)


def test_two_checks_of_one_name_are_refused(registered: str) -> None:
    with pytest.raises(ValueError, match=f"two doctor checks '{registered}'"):
        registry.register_check(registered, "elsewhere")
