"""The Python functions: the documentation's own example runs, and importing the package loads no torch."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import mms_dist
from mms_dist.api import evaluate, run_config
from mms_dist.errors import ConfigError
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards, speak
from tests.training import toy_config

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=4, dev=2)
    config = toy_config(tmp_path / "runs" / "mms-300m", small_base, shards, optim={"steps": 4})
    (tmp_path / "configs" / "train").mkdir(parents=True)
    (tmp_path / "configs" / "train" / "mms-300m.yaml").write_text(config.to_yaml(), encoding="utf-8")
    if shards.name != "corpus":
        (tmp_path / "corpus").symlink_to(shards)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 3
    soundfile.write(tmp_path / "talk.wav", speak("abc def", np.random.default_rng(0)), SAMPLE_RATE)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block.replace('"ron"', '"taa"'), str(DOCUMENT), "exec"), names)
    told = capsys.readouterr().out
    assert "finished" in told and "at step 4" in told and "→" in told and "hours" in told
    assert (tmp_path / "exported" / "adapter.taa.safetensors").is_file()


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, mms_dist; print(mms_dist.__version__, 'torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [mms_dist.__version__, "False", "False"]


def test_an_unknown_function_or_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mms_dist.nothing
    for call in (run_config, evaluate):
        with pytest.raises(ConfigError) as caught:
            call(tmp_path)
        assert caught.value.found == f"{tmp_path / 'config.yaml'} does not exist"
        assert str(caught.value.fix).startswith("pass the folder of a run, such as runs/demo")
