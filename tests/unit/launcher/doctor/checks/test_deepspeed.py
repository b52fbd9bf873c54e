"""DeepSpeed in `mms-dist doctor`: not needed without a setting that asks for it, and looked at with one."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from launcher.doctor.context import Context
from launcher.doctor.machines import Machines
from launcher.doctor.registry import run_checks
from tests.doctoring import examined, failed, warned

ZERO3 = str(Path(__file__).parents[5] / "configs" / "deepspeed" / "zero3.json")


def pretend_deepspeed(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "deepspeed" and found is None:
            raise metadata.PackageNotFoundError(name)
        return str(found) if name == "deepspeed" else real(name)

    monkeypatch.setattr(metadata, "version", version)


def put_deepspeed_first(monkeypatch: pytest.MonkeyPatch, folder: Path, statement: str) -> None:
    """A package of that name, of one statement, in every Python that is started from here on."""
    (folder / "deepspeed").mkdir(parents=True)
    (folder / "deepspeed" / "__init__.py").write_text(statement)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")


@pytest.mark.parametrize("found", [None, "0.1"])
def test_a_deepspeed_that_nothing_asks_for_may_be_missing_or_old(
    found: str | None, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_deepspeed(monkeypatch, found)
    context = Context(path=str(config), settings=[], machines=Machines())
    findings = run_checks(context)
    assert (failed(findings), warned(findings)) == ({}, {})
    (told,) = [finding for finding in findings if finding.check == "DeepSpeed"]
    assert ("0.1 is installed" if found else "is not installed") in told.found
    assert "only comm.deepspeed and accelerate launch --use_deepspeed need it" in told.found
    assert "deepspeed" not in context.identity, "machines may differ in what is not used"


@pytest.mark.parametrize(
    ("found", "words"), [(None, "the package deepspeed is not installed"), ("0.1", "deepspeed 0.1, expected")]
)
def test_a_deepspeed_that_a_setting_asks_for_must_be_there(
    found: str | None, words: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_deepspeed(monkeypatch, found)
    told = failed(examined(config, "--comm.deepspeed", ZERO3))
    assert told.keys() == {"DeepSpeed"}
    assert words in told["DeepSpeed"]
    assert "pip install 'deepspeed>=" in told["DeepSpeed"]


def test_a_deepspeed_that_cannot_be_imported_is_reported_with_fixes(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_deepspeed(monkeypatch, "0.19.8")
    put_deepspeed_first(monkeypatch, tmp_path / "broken", "raise RuntimeError('CUDA_HOME does not exist')")
    assert failed(examined(config)) == {}, "nobody asks for it"
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    told = failed(examined(config))
    assert told.keys() == {"DeepSpeed"}
    for words in ("RuntimeError: CUDA_HOME does not exist", "-c 'import deepspeed' work", "start with --multi_gpu"):
        assert words in told["DeepSpeed"]


def test_a_deepspeed_that_can_be_imported_is_well(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_deepspeed(monkeypatch, "0.19.8")
    put_deepspeed_first(monkeypatch, tmp_path / "good", "print('words on standard output')")
    settings = tmp_path / "zero.json"
    settings.write_text(json.dumps({"zero_optimization": {"stage": 2}}))
    context = Context(path=str(config), settings=["--comm.deepspeed", str(settings)], machines=Machines())
    findings = run_checks(context)
    assert failed(findings) == {}
    assert [each.found for each in findings if each.check == "DeepSpeed"] == ["deepspeed 0.19.8 can be imported"]
    assert context.identity["deepspeed"] == "0.19.8"
