"""Which device a rank computes on."""

from types import SimpleNamespace

import pytest
import torch

from mms_dist.errors import ConfigError
from mms_dist.training.devices import device_of_rank


@pytest.mark.parametrize("variable", ["LOCAL_WORLD_SIZE", "LOCAL_SIZE"])
def test_more_processes_than_gpus_on_a_machine_are_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    second = SimpleNamespace(device=torch.device("cuda:1"))
    monkeypatch.setenv(variable, "2")
    assert device_of_rank("auto", second, 16) == torch.device("cuda:1")
    monkeypatch.setenv(variable, "3")
    with pytest.raises(ConfigError, match="3 processes on a machine with 2 GPUs"):
        device_of_rank("auto", second, 3)


def test_processes_on_cpus_may_be_as_many_as_one_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert device_of_rank("cpu", SimpleNamespace(device=torch.device("cpu")), 4) == torch.device("cpu")


def test_one_device_is_not_for_several_processes() -> None:
    with pytest.raises(ConfigError, match="2 processes"):
        device_of_rank("cuda:0", SimpleNamespace(device=torch.device("cuda:0")), 2)
