"""Processes that do not report to the doctor are named while it waits for them."""

import socket

import pytest

from launcher.doctor.findings_exchange import FindingsExchange
from launcher.doctor.report import MachineFindings
from mms_dist.distributed import process_group, startup_waits
from mms_dist.errors import ConfigError

WHOLE = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}


def test_those_that_have_said_nothing_are_named_before_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(startup_waits, "FIRST_NOTICE_SECONDS", 0.2)
    monkeypatch.setattr(process_group, "SERVED_STORES", [])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    rendezvous = FindingsExchange(1.0, WHOLE | {"MASTER_PORT": port})
    rendezvous.publish("machines", MachineFindings("node0", []))
    assert list(rendezvous.collect("machines")) == [0]
    (line,) = capfd.readouterr().err.splitlines()
    assert "rank 0 of 4 has waited" in line and f"ranks 1-3 at 127.0.0.1:{port}" in line


def test_a_place_that_is_half_given_is_refused() -> None:
    with pytest.raises(ConfigError, match="RANK"):
        FindingsExchange(1.0, {"WORLD_SIZE": "4"})
