"""What a user can get wrong ends with one clear line, exit code 2, and nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import Wav2Vec2ForCTC

from launcher.cli import main
from mms_dist.training.attempts import STATUS_NAME, read_status
from tests.conftest import small_base_config
from tests.corpus import build_toy_shards
from tests.training import toy_config


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("bad"), languages=2, train=7, dev=2)


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, small_base: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`mms-dist train` on a good configuration with the given flags; its exit code and what it said."""
    config = tmp_path / "config.yaml"
    config.write_text(toy_config(tmp_path / "run", small_base, shards, optim={"steps": 2, "warmup_steps": 1}).to_yaml())

    def train(*flags: str) -> tuple[int, str]:
        status = main(["train", "--config", str(config), *flags])
        return status, capsys.readouterr().err

    return train


def assert_refused(outcome: tuple[int, str], run: Path, *expected: str) -> None:
    status, message = outcome
    assert status == 2, message
    assert "error: " in message
    for words in expected:
        assert words in message
    assert not run.exists() or {path.name for path in run.iterdir()} <= {STATUS_NAME, "run.lock"}
    refused = read_status(run)
    assert refused is None or (refused.state, refused.exit_code, refused.restart) == ("failed", 2, False)


def test_the_good_configuration_is_good(command: Command, tmp_path: Path) -> None:
    assert command() == (0, "")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--optim.learning_rate", "1"], ["unknown key 'optim.learning_rate'"]),
        (["--optim.step", "1"], ["did you mean 'steps'"]),
        (["--optim.steps", "many"], ["optim.steps", "found 'many'"]),
        (["--data.languages", "[taa, tax]"], ["no shards of language 'tax'", "there are: taa, tab"]),
        (["--data.shards", "/nowhere"], ["/nowhere"]),
        (["--languages.tax.optim.lr", "1e-3"], ["languages.tax", "the run trains taa, tab"]),
        (["--model.base", "/nowhere"], ["model.base '/nowhere'", "tiny-mms"]),
        (["--run.device", "cuda:7"], ["run.device", "use auto"]),
        (["--run.device", "toaster"], ["run.device", "expected auto, cpu or cuda:N"]),
        (["--data.max_seconds", "0.01"], ["none that can be trained on", "raise data.max_seconds"]),
        (["--adapter.init", "no-such-scheme"], ["neither a scheme"]),
        (["--optim.lr"], ["--optim.lr has no value"]),
    ],
)
def test_a_wrong_setting_is_refused_with_its_mend(
    command: Command, tmp_path: Path, flags: list[str], expected: list[str]
) -> None:
    assert_refused(command(*flags), tmp_path / "run", *expected)


def test_a_missing_configuration_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "absent.yaml"]) == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_a_base_without_stable_layer_norm_is_refused(command: Command, tmp_path: Path) -> None:
    Wav2Vec2ForCTC(small_base_config(do_stable_layer_norm=False)).save_pretrained(tmp_path / "base")
    assert_refused(
        command("--model.base", str(tmp_path / "base")), tmp_path / "run", "do_stable_layer_norm", "tiny-mms"
    )


def test_missing_and_truncated_shards_are_refused(command: Command, tmp_path: Path, shards: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shards, copy)
    victim = copy / "tab" / "train-000000.tar"
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 1024 * 512])
    assert_refused(command("--data.shards", str(copy)), tmp_path / "run", "tab/train-000000.tar", "mms-dist shards")
    victim.unlink()
    assert_refused(command("--data.shards", str(copy)), tmp_path / "run", "tab/train-000000.tar")


def test_an_adapter_whose_head_does_not_fit_the_vocabulary_is_refused(
    command: Command, tmp_path: Path, shards: Path
) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    vocabulary = {"taa": json.loads((shards / "taa" / "vocab.json").read_text())["taa"] | {"ß": 99}}
    vocabulary["taa"]["ß"] = len(vocabulary["taa"]) - 1
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    assert_refused(
        command("--adapter.init", str(folder), "--data.languages", "[taa]"), tmp_path / "run", "other ones", "rebuild"
    )


def test_a_dry_run_writes_nothing(command: Command, tmp_path: Path) -> None:
    assert command("--dry-run")[0] == 0
    assert not (tmp_path / "run").exists()
