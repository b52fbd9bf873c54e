"""`mms-dist doctor` as a command: what it prints, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher import cli
from launcher.doctor.checks.configuration import check
from launcher.doctor.context import Context
from launcher.doctor.doctor import preflight
from launcher.doctor.machines import Machines
from mms_dist.distributed import process_group


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`mms-dist doctor`: exit status, output, errors."""
    monkeypatch.setattr(process_group, "SERVED_STORES", [])

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(["doctor", *arguments])
        return (status, *capsys.readouterr())

    return run


def test_the_command_says_by_its_exit_status_how_it_stands(
    doctor: Callable[..., tuple[int, str, str]], config: Path
) -> None:
    status, output, _ = doctor(str(config))
    assert (status, output.splitlines()[-1]) == (0, "nothing to fix")
    assert "network" in output
    status, output, _ = doctor("--config", str(config), "--comm.processes", "2", "--nodes", "3")
    assert (status, output.splitlines()[-1].partition(",")[0]) == (1, "1 to fix")
    assert "→ start 2 processes" in output
    status, _, errors = doctor(str(config) + "x")
    assert (status, "cannot read the configuration" in errors) == (2, True)
    assert doctor()[0] == doctor(str(config), "--config", str(config))[0] == doctor(str(config), "--optim.lr")[0] == 2


def test_json_holds_every_finding(doctor: Callable[..., tuple[int, str, str]], config: Path) -> None:
    status, output, _ = doctor(str(config), "--json", "--comm.processes", "2")
    report = json.loads(output)
    assert status == report["exit_code"] == 1
    (finding,) = (each for each in report["findings"] if each["status"] == "failed")
    assert finding["check"] == "processes"
    assert finding["hosts"] == []
    assert "comm.processes is 2" in finding["found"]


def test_a_thousand_problems_of_a_kind_are_counted_and_not_listed(
    doctor: Callable[..., tuple[int, str, str]], config: Path
) -> None:
    many = ", ".join(f"x{a}{b}" for a in "abcdef" for b in "abcdef")
    _, output, _ = doctor(str(config), "--data.languages", f"[{many}]")
    assert output.count("no shards of language") == 8
    assert "and 28 more of shards (failed)" in output


def test_the_preflight_of_a_job_looks_at_what_can_be_seen_from_here(config: Path) -> None:
    report = preflight(str(config), [], nodes=2, processes=2, signal="B:USR1@600")
    assert report.exit_code == 0
    told = {line.finding.check: line.finding.found for line in report.lines}
    assert "other machines" in told["device"]
    assert told["processes"].startswith("4 processes on 2 machines")
    assert "network" not in told


def test_the_doctor_is_quick_and_help_needs_no_torch() -> None:
    program = "import sys; from launcher.cli import main; main(['doctor', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_the_configuration_is_told_with_the_places_as_they_were_understood(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISK_OF_THIS_MACHINE", "/local/one")
    settings = ["--run.directory", "$DISK_OF_THIS_MACHINE/r", "--data.cache_directory", "$DISK_OF_THIS_MACHINE/c"]
    context = Context(path=str(config), settings=settings, machines=Machines())
    (finding,) = check(context)
    assert "run.directory is /local/one/r, data.shards /" in finding.found
    same = context.identity["configuration"]
    for name, cache in (("/local/two", same), ("/local/one", same)):
        monkeypatch.setenv("CACHE", name)
        other = Context(
            path=str(config),
            settings=["--run.directory", "/local/one/r", "--data.cache_directory", "$CACHE/c"],
            machines=Machines(),
        )
        list(check(other))
        assert other.identity["configuration"] == cache
    other = Context(path=str(config), settings=[*settings, "--optim.lr", "2"], machines=Machines())
    list(check(other))
    assert other.identity["configuration"] != same
