"""Whatever is wrong with DeepSpeed, what does not ask for it works, and does not even import it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus import build_toy_shards
from tests.training import toy_config

ROOT = Path(__file__).parents[2]
ASKS_FOR_IT = ("--comm.deepspeed", str(ROOT / "configs" / "deepspeed" / "zero3.json"))
COMMANDS = """
import json, sys
from launcher.cli import main
for command in json.loads(sys.argv[1]):
    assert main(command) == 0, command
"""
DEBUG_LEAST = ("--utterances", "2", "--rounds", "1")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A DeepSpeed, in the place of the installed one, that cannot be imported; a mark tells of every try."""
    package = tmp_path / "broken" / "deepspeed"
    package.mkdir(parents=True)
    mark = tmp_path / "was-imported"
    (package / "__init__.py").write_text(
        f"open({str(mark)!r}, 'w').close()\nraise RuntimeError('CUDA_HOME does not exist')\n"
    )
    return package.parent


def python(*words: str, broken: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(broken), str(ROOT)])}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=200)


def test_every_command_works_where_deepspeed_cannot_be_imported(small_base: Path, tmp_path: Path, broken: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=6, dev=2)
    run = str(tmp_path / "run")
    config = tmp_path / "config.yaml"
    config.write_text(toy_config(Path(run), small_base, shards, optim={"steps": 2, "warmup_steps": 0}).to_yaml())
    commands = [
        ["plan", "--config", str(config), *ASKS_FOR_IT],  # like debug, it starts no processes, and needs none of it
        ["train", "--config", str(config)],
        ["eval", run, "--split", "dev"],
        ["export", run],
        ["debug", "--config", str(config), *DEBUG_LEAST, *ASKS_FOR_IT],
    ]
    done = python("-c", COMMANDS, json.dumps(commands), broken=broken)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert (tmp_path / "run" / "export" / "model.safetensors").exists()
    assert not (tmp_path / "was-imported").exists()


def test_a_deepspeed_setting_names_what_is_wrong_and_ends_with_2(
    small_base: Path, tmp_path: Path, broken: Path
) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=6, dev=2)
    config = tmp_path / "config.yaml"
    config.write_text(toy_config(tmp_path / "run", small_base, shards).to_yaml())
    done = python("-m", "launcher", "train", "--config", str(config), *ASKS_FOR_IT, broken=broken)
    assert done.returncode == 2, done.stderr
    assert "cannot be imported (RuntimeError: CUDA_HOME does not exist)" in done.stderr
    assert "leave out comm.deepspeed" in done.stderr
    assert "Traceback" not in done.stderr
