"""Exports go to the Hub, a server that the test starts, and are loaded from there by transformers alone."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mms_dist.errors import ConfigError
from mms_dist.publishing.export import export_run
from mms_dist.publishing.hub_upload import check_repository
from tests.layouts.hub_server import HubServer, hub_server
from tests.layouts.hub_uploads import TOKEN

ROOT = Path(__file__).parents[3]
RUN = """
import contextlib, io, json, os, sys
from launcher.cli import main
results = []
for arguments, token in json.loads(sys.argv[1]):
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["export", *arguments])
    results.append([status, " ".join(out.getvalue().split()), " ".join(err.getvalue().split())])
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Pushed:
    """What the commands did, by name, and the server that they spoke to."""

    results: dict[str, list]
    server: HubServer
    environment: dict[str, str]


@pytest.fixture
def pushed(run: Path, tmp_path: Path) -> Iterator[Pushed]:
    """Commands in one process of their own: the address of the Hub is read when its library is imported."""
    whole, adapters = [str(run), "--to", str(tmp_path / "all")], [str(run), "--adapters-only", "--folder-per-language"]
    commands = {
        "no token": ([*whole, "--push", "me/toy"], None),
        "wrong token": ([*whole, "--push", "me/toy"], "hf_wrong"),
        "others": ([*whole, "--push", "you/toy"], TOKEN),
        "dry run": ([*whole, "--push", "me/toy", "--dry-run"], None),
        "whole": ([*whole, "--push", "me/toy"], TOKEN),
        "fewer": ([*whole, "--push", "me/toy", "--languages", "ron"], TOKEN),
        "each": ([*adapters, "--languages", "ita", "srp-script_latin", "--push", "me/each", "--private"], TOKEN),
    }
    with hub_server(tmp_path / "hub") as server:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "HF_TOKEN"},
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", RUN, json.dumps(list(commands.values()))]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results = dict(zip(commands, json.loads(done.stdout.splitlines()[-1]), strict=True))
        yield Pushed(results, server, environment)


def test_exports_are_pushed_and_loaded_from_the_hub(
    pushed: Pushed, run: Path, small_base: Path, tmp_path: Path
) -> None:
    results, uploads = pushed.results, pushed.server.uploads
    status, out, _ = results["dry run"]
    assert status == 0 and "me/toy on the Hub" in out and "model.safetensors" in out and "nothing uploaded" in out
    assert results["no token"][0] == 2 and "hf auth login" in results["no token"][2]
    assert results["wrong token"][0] == 1 and "refused the upload to me/toy (401)" in results["wrong token"][2]
    assert results["others"][0] == 1 and "HF_TOKEN" in results["others"][2]
    assert results["whole"][0] == 0, results["whole"][2]
    assert f"to {pushed.server.url}/me/toy" in results["whole"][1]

    assert results["fewer"][0] == 0, results["fewer"][2]
    here = {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()}
    there = {path.name: path.read_bytes() for path in (uploads.folder / "me" / "toy").iterdir()}
    assert there == here, "adapters of languages that are no longer in the export are gone"

    assert results["each"][0] == 0, results["each"][2]
    assert {path.name for path in (uploads.folder / "me").iterdir()} == {"toy", "each-ita", "each-srp-script_latin"}
    assert uploads.private == {"me/each-ita", "me/each-srp-script_latin"}
    names = {path.name for path in (uploads.folder / "me" / "each-ita").iterdir()}
    assert names == {"adapter.ita.safetensors", "vocab.json", "README.md", "mms-dist-export.json"}

    adapters_card = (uploads.folder / "me" / "each-ita" / "README.md").read_text()
    assert 'Path(snapshot_download("me/each-ita"))' in adapters_card

    card = (uploads.folder / "me" / "toy" / "README.md").read_text()
    program = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    assert 'folder, language = "me/toy", "ron"' in program
    audio = (np.random.default_rng(0).normal(0, 0.1, 8_000) * 2**15).astype(np.int16)
    soundfile.write(tmp_path / "clip.wav", audio, 16_000)
    after = "\nimport sys\nassert 'mms_dist' not in sys.modules\nprint(model(**inputs).logits.sum().item())"
    alone = {name: value for name, value in pushed.environment.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program + after], env=alone, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = logits_of(export_run(run, tmp_path / "alone", base_path=str(small_base)).folder, audio)
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(expected, rel=1e-4)


def logits_of(folder: Path, audio: np.ndarray) -> float:
    from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

    processor = Wav2Vec2Processor.from_pretrained(folder, target_lang="ron")
    model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="ron", ignore_mismatched_sizes=True).eval()
    inputs = processor(audio.astype(np.float32) / 2**15, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        return float(model(**inputs).logits.sum())


@pytest.mark.parametrize("name", ["toy", "me/toy/x", "me/", "me/to y", "me/-toy"])
def test_a_name_that_the_hub_would_refuse_is_noticed_before_the_export(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_repository(name, [None])
    assert caught.value.fix is not None and "OWNER/NAME" in caught.value.fix
