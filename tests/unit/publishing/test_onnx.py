"""ONNX files give torch's greedy transcripts, in any program with a CTC decoder, and in sherpa-onnx."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

from launcher import cli
from mms_dist import evaluate, export
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import load_config, parse_config
from mms_dist.config.load import write_config
from mms_dist.errors import ConfigError, DataError
from mms_dist.model.adapter import AdapterShape
from mms_dist.publishing.export import ExportReport
from mms_dist.publishing.onnx_check import joined, read_recordings
from mms_dist.publishing.onnx_folder import onnx_writer_of
from mms_dist.publishing.onnx_graph import decodable
from shards.index import ShardIndex
from shards.vocabulary import FIXED, Vocabulary
from tests.checkpoint_samples import random_adapter
from tests.corpus import build_toy_shards
from tests.layouts.hub_uploads import card_errors

LETTERS = Vocabulary("ron", (*FIXED, "a", "b"))
SNIPPET = """
import sys
{program}
assert not {{"torch", "transformers", "mms_dist"}} & set(sys.modules)
"""


def path_of(labels: list[int]) -> torch.Tensor:
    """Logits whose most likely path is this, and that differ in all other places."""
    logits = torch.randn(1, len(labels), len(LETTERS), generator=torch.Generator().manual_seed(0))
    logits[0, torch.arange(len(labels)), torch.tensor(labels)] = 9.0
    return logits


def test_every_ctc_decoder_reads_the_transcript_from_the_changed_logits() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        labels = random.choice(
            len(LETTERS.tokens), p=[0.2, 0.05, 0.05, 0.1, 0.3, 0.2, 0.1], size=random.integers(1, 25)
        )
        changed = decodable(path_of(labels.tolist()))
        assert joined(changed[0].argmax(-1).numpy(), LETTERS) == LETTERS.decode(labels.tolist()), labels


def test_logits_of_letters_stay_what_they_are() -> None:
    logits = path_of([4, 5, 0, 4, 0, 4, 6, 3, 4])
    changed = decodable(logits)
    assert torch.equal(changed[..., 4:], logits[..., 4:])
    assert torch.equal(changed[0, 1:4, 0], logits[0, 1:4, :4].amax(-1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> tuple[Path, ExportReport]:
    """A run of one language with large random weights, so that it says much, and its export."""
    folder = tmp_path_factory.mktemp("onnx")
    shards = build_toy_shards(folder, languages=1, train=4, dev=3, test=4)
    vocabulary = ShardIndex.load(str(shards)).language("taa").vocabulary
    shape = AdapterShape(layers=2, hidden=32, dim=4, vocabulary_size=len(vocabulary))
    adapter = {name: tensor * 50 for name, tensor in random_adapter(shape, seed=1).items()}
    run = folder / "run"
    with CheckpointStore(run / "adapters", keep=1) as store:
        store.save(Snapshot("taa", 5, adapter, vocabulary=vocabulary.nested()), best=False)
    document = {"model": {"base": str(small_base)}, "data": {"shards": str(shards)}, "adapter": {"dim": 4}}
    write_config(parse_config(document), run / "config.yaml")
    return run, export(run, onnx=True)


def test_the_folder_has_both_files_and_their_comparison_with_torch(exported: tuple[Path, ExportReport]) -> None:
    run, report = exported
    (folder,) = report.folders
    assert (folder.path, folder.language) == (run / "onnx" / "taa", "taa")
    assert folder.files == {path.name: path.stat().st_size for path in sorted(folder.path.iterdir())}
    assert set(folder.files) == {"model.onnx", "model.int8.onnx", "tokens.txt", "README.md", "mms-dist-export.json"}
    assert folder.files["model.int8.onnx"] < folder.files["model.onnx"]
    card = (folder.path / "README.md").read_text()
    assert card_errors(card) == []
    assert re.search(r"\| `model.onnx` \| [\d.]+ MB \|.*\| 4 of 4 \|", card), "float32 gives torch's text"
    assert re.search(r"\*\*int8 (holds|does not hold): its CER is [+-]", card)
    assert "gives torch's text of 4 of 4 test utterances" in report.notes[0]
    model = onnx.load(folder.path / "model.onnx")
    assert [each.name for each in model.graph.input] == ["x"]
    metadata = {each.key: each.value for each in model.metadata_props}
    assert (metadata["language"], metadata["sample_rate"], metadata["step"]) == ("taa", "16000", "5")
    assert json.loads((run / "onnx" / "mms-dist-export.json").read_text())["languages"][0]["language"] == "taa"


def test_the_cards_program_gives_our_text_in_sherpa_onnx_alone(
    exported: tuple[Path, ExportReport], tmp_path: Path
) -> None:
    run, report = exported
    folder = report.folders[0].path
    _, recordings = read_recordings(load_config(run / "config.yaml"), "taa", 1)
    found = evaluate(run, split="test", max_utterances=1)["taa"].transcription
    assert found.references == [recordings[0].text]
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    program = SNIPPET.format(program=program.replace("path/to/this/folder", str(folder)))
    soundfile.write(tmp_path / "clip.wav", recordings[0].waveform, 16_000, subtype="PCM_16")
    command = [sys.executable, "-I", "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == found.hypotheses[0] != ""


def test_a_dry_run_lists_the_files_and_writes_none(
    exported: tuple[Path, ExportReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, report = exported
    command = ["export", str(run), "--onnx", "--to", str(tmp_path / "new"), "--push", "me/toy", "--dry-run"]
    assert cli.main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "me/toy-taa" in out and all(name in out for name in report.folders[0].files)
    elsewhere = ["--data.shards", str(tmp_path / "nowhere")]
    assert cli.main([*command, *elsewhere]) == 2, "there is nothing to compare on"
    assert cli.main([*command, *elsewhere, "--check-utterances", "0"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_go_with_onnx_files_is_refused(tmp_path: Path) -> None:
    config = parse_config({})
    with pytest.raises(ConfigError, match="--adapters-only does not go with --onnx"):
        onnx_writer_of(config, 1, adapters_only=True, dtype=None)
    with pytest.raises(ConfigError, match="--dtype bfloat16 does not go with --onnx"):
        onnx_writer_of(config, 1, adapters_only=False, dtype="bfloat16")
    shards = build_toy_shards(tmp_path, languages=1, train=4, dev=0)
    with pytest.raises(DataError, match=r"no test and no dev utterances .*--check-utterances 0"):
        read_recordings(parse_config({"data": {"shards": str(shards)}}), "taa", 1)
