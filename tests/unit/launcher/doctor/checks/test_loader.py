"""`mms-dist doctor` and the loader: how fast it reads, and whether that keeps the device busy."""

from pathlib import Path

import pytest

from launcher.doctor.checks import loader
from launcher.doctor.finding import Finding
from mms_dist.config import load_config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.planning.measured_speed import measured_device, measured_reading
from tests.doctoring import examined


def of_loader(findings: list[Finding]) -> Finding:
    (finding,) = (each for each in findings if each.check == "loader")
    return finding


@pytest.mark.parametrize(
    ("read", "device", "status", "told", "fix"),
    [
        (6_000.0, 500.0, "ok", "3 loader workers can read 6,000 s of audio per second, the device takes 500: ", None),
        (6_000.0, 500.0, "ok", "the device is 12.0x slower", None),
        (400.0, 1_000.0, "warning", "the loader is 2.5x slower", "raise data.workers (now 3)"),
        (1_200.0, 1_000.0, "warning", "the device is 1.2x slower", "raise data.workers (now 3)"),
    ],
)
def test_a_loader_without_reserve_is_a_warning(
    config: Path, monkeypatch: pytest.MonkeyPatch, read: float, device: float, status: str, told: str, fix: str | None
) -> None:
    monkeypatch.setattr(loader, "measured_reading", lambda *args, **options: read)
    monkeypatch.setattr(loader, "measured_device", lambda *args: device)
    finding = of_loader(examined(config, "--data.workers", "3", load=True))
    assert finding.status == status and told in finding.found
    assert finding.fix is None if fix is None else fix in str(finding.fix)


def test_the_device_is_measured_only_with_load_and_outside_a_job(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = of_loader(examined(config))
    assert finding.status == "ok" and "1 loader worker can read" in finding.found
    assert "--load compares" in finding.found
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "the device" not in of_loader(examined(config, load=True)).found
    assert of_loader(examined(config, here=False)).status == "not checked"


def test_what_is_measured_is_a_moment_of_reading_and_a_few_rounds(config: Path) -> None:
    loaded = load_config(config, [])
    _, summaries = summarise_languages(loaded)
    rates = [
        measured_reading(loaded.data.shards, summaries, workers=workers, seconds=seconds)
        for workers in (1, 2)
        for seconds in (0.0, 0.1)
    ]
    assert min(rates) > 1.0  # times real time
    assert measured_device(loaded, summaries) > 1.0
