"""The configurations of configs/train hold the recipe of the MMS paper, and go through `mms-dist debug` as they are."""

from pathlib import Path

import pytest

from launcher.cli import main
from mms_dist.config import load_config
from mms_dist.hardware.hardware import assumed_hardware
from mms_dist.hardware.resolve import resolve
from tests.corpus import build_toy_shards

FOLDER = Path(__file__).parents[2] / "configs" / "train"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("shipped"), languages=2, train=8, dev=2)


def test_there_is_a_configuration_for_each_of_the_two_bases() -> None:
    assert {name: load_config(path_of(name)).model.base for name in NAMES} == {
        "mms-1b-all": "facebook/mms-1b-all",
        "mms-300m": "facebook/mms-300m",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_configuration_holds_the_mms_recipe(name: str) -> None:
    """Pratap et al. 2023, section 4: a bottleneck of 16, 1e-3 after warm-up, 4,000 updates of some 180 s at most."""
    config = load_config(path_of(name))
    assert (config.optim.lr, config.optim.warmup_steps) == (1e-3, 100)
    assert config.optim.steps <= 4000
    assert 160 <= config.optim.batch_seconds <= 180
    assert (config.adapter.dim, config.adapter.init) == (16, "mms")
    on_a_gpu = resolve(config, assumed_hardware(on_gpu=True))
    assert (on_a_gpu.dtype, on_a_gpu.forward_seconds, on_a_gpu.evaluation_seconds) == ("bfloat16", 320, 320)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_configuration_passes_debug_as_it_is(
    name: str, small_base: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing changed but where base, shards and run lie."""
    where = ["--model.base", str(small_base), "--data.shards", str(shards), "--run.directory", str(tmp_path / "run")]
    status = main(["debug", "--config", str(path_of(name)), "--device", "cpu", *where])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert " passed, 0 failed" in printed
    assert "not run" not in printed
    assert not (tmp_path / "run").exists()
