"""All checks of `mms-dist doctor`: each fails on what is broken and on nothing else, and all of it is told at once."""

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.doctor import registry
from launcher.doctor.checks import versions
from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, warning
from launcher.doctor.machines import Machines
from tests.doctoring import examined, failed, warned
from tests.launch_configs import NEEDS_DEEPSPEED


def test_nothing_is_wrong_with_a_good_run_and_nothing_is_left_behind(config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    findings = examined(config, load=True)
    assert failed(findings) == {}
    assert warned(findings) == {}
    assert {"versions", "base model", "shards", "run directory", "disk space", "memory", "processes"} <= {
        finding.check for finding in findings if finding.status == "ok"
    }
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("check", "settings", "words"),
    [
        ("configuration", ["--optim.step", "1"], ["unknown key 'optim.step'", "did you mean 'steps'"]),
        pytest.param(
            *("configuration", ["--comm.deepspeed", "none.json"], ["none.json", "configs/deepspeed/zero3.json"]),
            marks=NEEDS_DEEPSPEED,
        ),
        ("device", ["--run.device", "cuda:7"], ["cuda:7", "use auto"]),
        ("base model", ["--model.base", "/nowhere"], ["/nowhere", "pass a folder with config.json"]),
        ("shards", ["--data.shards", "/nowhere"], ["no folder /nowhere", "mms-dist shards build"]),
        ("shards", ["--data.languages", "[taa, tax]"], ["tax", "languages there: taa, tab"]),
        ("shards", ["--languages.tax.optim.lr", "1e-3"], ["languages.tax", "correct the code"]),
        ("shards", ["--data.max_seconds", "0.01"], ["taa has 9 training utterances", "tab has 10", "data.max_seconds"]),
        ("first adapters", ["--adapter.init", "none"], ["'none' is neither a scheme", "xavier"]),
        (
            "run directory",
            ["--run.directory", "/proc/here/run"],
            ["cannot write to /proc/here/run", "choose another"],
        ),
        ("disk space", ["--checkpoint.keep", "1000000000"], ["free in", "lower checkpoint.keep"]),
        ("memory", ["--rounds.forward_seconds", "1e7"], ["available", "lower rounds.forward_seconds"]),
        ("processes", ["--comm.processes", "3"], ["1 process on 1 machine", "leave comm.processes out"]),
    ],
)
def test_a_wrong_setting_fails_its_own_check_and_no_other(
    config: Path, check: str, settings: list[str], words: list[str]
) -> None:
    told = failed(examined(config, *settings))
    assert told.keys() == {check}
    for word in words:
        assert word in told[check]


def test_a_balance_of_speakers_that_nobody_named_is_a_warning(config: Path) -> None:
    findings = examined(config, "--balance.by", "speaker", "--balance.cap_seconds", "9", "--balance.weights.anna", "2")
    assert failed(findings) == {}
    assert "taa: no training utterance has a speaker, so nothing is balanced" in warned(findings)["shards"]
    assert "languages.tab.balance.by" in warned(findings)["shards"]
    assert "no language has the group 'anna' of balance.weights" in warned(findings)["shards"]


def test_everything_that_is_broken_is_reported_at_once(
    config: Path, base: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shards / "taa" / "train-000000.tar").unlink()
    with (shards / "tab" / "train-000001.tar").open("ab") as file:
        file.truncate(1000)
    with (base / "model.safetensors").open("ab") as file:
        file.truncate(20_000)
    _pretend_version(monkeypatch, "transformers", "4.1.0")
    told = failed(
        examined(
            config,
            *("--optim.rate", "1", "--optim.lr", "fast", "--languages.tax.optim.lr", "1", "--run.device", "toaster"),
            *("--run.directory", str(base / "config.json" / "run"), "--comm.processes", "9"),
        )
    )
    expected = ["versions", "configuration", "device", "base model", "shards", "run directory", "processes"]
    assert sorted(told) == sorted(expected)
    assert "transformers 4.1.0, expected" in told["versions"]
    assert "optim.rate" in told["configuration"]
    assert "optim.lr" in told["configuration"]
    for part in ("languages.tax", "taa/train-000000.tar is missing", "tab/train-000001.tar has 1,000 bytes"):
        assert part in told["shards"]


def test_every_finding_that_is_not_well_names_a_fix(config: Path, base: Path, shards: Path) -> None:
    shutil.rmtree(base)
    (shards / "taa" / "vocab.json").write_text("{")
    settings = ["--optim.rate", "1", "--run.directory", "/proc/x", "--comm.processes", "9", "--run.device", "cuda:9"]
    findings = [each for each in examined(config, *settings) if each.status in ("failed", "warning")]
    assert len(findings) >= 6
    assert all(finding.fix for finding in findings), findings


def _pretend_version(monkeypatch: pytest.MonkeyPatch, package: str, found: str | None) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name != package:
            return real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(("found", "words"), [(None, "jiwer is not installed"), ("0.1", "jiwer 0.1, expected")])
def test_a_package_that_is_missing_or_too_old_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, found: str | None, words: str
) -> None:
    _pretend_version(monkeypatch, "jiwer", found)
    told = failed(examined(config))
    assert told.keys() == {"versions"}
    assert words in told["versions"]
    assert "pip install 'jiwer" in told["versions"]


@pytest.mark.parametrize(
    ("package", "found", "is_well"),
    [
        ("torch", "2.10.1", False),
        ("torch", "2.11.0a0+nv26.1", False),
        ("torch", "2.11.0", True),
        ("torch", "2.11.0+cu130", True),
        ("torch", "2.13.0+cpu", True),
        ("torch", "2.15.1+cu130", True),
        ("torch", "2.16.0", False),
        ("transformers", "5.16.1", False),
        ("transformers", "5.17.0", True),
        ("transformers", "5.99.0", True),
        ("transformers", "6.0.0", False),
    ],
)
def test_the_versions_that_are_taken_are_those_of_the_range(
    package: str, found: str, is_well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend_version(monkeypatch, package, found)
    findings = list(versions.check(Context(path="config.yaml", settings=[], machines=Machines())))
    assert [finding.status == "ok" for finding in findings] == [is_well]
    if not is_well:
        assert f"{package} {found}, expected" in findings[0].found


@pytest.mark.parametrize(
    ("found", "is_well"), [("3.10.9", False), ("3.11.0", True), ("3.13.5", True), ("3.14.0", False)]
)
def test_the_pythons_that_are_taken_are_those_of_the_range(
    found: str, is_well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: found)
    findings = list(versions.check(Context(path="config.yaml", settings=[], machines=Machines())))
    assert [finding.status == "ok" for finding in findings] == [is_well]


def test_a_check_that_cannot_be_imported_fails_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "launcher.doctor.checks.lead_time", raising=False)
    monkeypatch.setitem(sys.modules, "launcher.slurm.lead_time", None)
    told = failed(examined(config))
    assert told.keys() == {"lead time"}
    assert "launcher.slurm.lead_time" in told["lead time"]


def test_a_check_that_breaks_fails_alone_and_says_where(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: Context) -> Findings:
        yield warning("found before", "look")
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr(registry, "CHECKS", {"lucky": "lucky", **registry.CHECKS})
    monkeypatch.setitem(sys.modules, "lucky", SimpleNamespace(check=break_down))
    findings = examined(config)
    assert warned(findings) == {"lucky": "found before → look\n"}, "what a check found before it broke is kept"
    told = failed(findings)
    assert told.keys() == {"lucky"}
    assert "ZeroDivisionError: no luck → " in told["lucky"]
    assert re.search(r"open an issue .* test_checks.py:\d+ in break_down, from registry.py", told["lucky"])
    assert {"disk space", "processes"} <= {each.check for each in findings if each.status == "ok"}


def test_two_checks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two doctor checks 'shards'"):
        registry.register_check("shards", "elsewhere")
