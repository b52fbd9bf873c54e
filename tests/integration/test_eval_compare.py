"""`mms-dist eval --compare` decodes another model on the same utterances, and says how they differ."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutomaticSpeechRecognitionPipeline, Wav2Vec2ForCTC, Wav2Vec2Processor

from launcher.cli import main
from mms_dist import evaluate
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards
from tests.layouts.hub_server import hub_server
from tests.training import toy_config, train

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "import json, sys; from launcher.cli import main; "
    "sys.exit([main(each) for each in json.loads(sys.argv[1])] != [0, 0, 2])"
)


@pytest.fixture(scope="module")
def run(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two languages that writes something, with checkpoints of two steps, and its export."""
    folder = tmp_path_factory.mktemp("compare")
    shards = build_toy_shards(folder, languages=2, train=10, dev=2, test=6)
    sections = {"optim": {"steps": 6, "lr": 1e-3}, "evaluation": {"every_steps": 3}, "checkpoint": {"every_rounds": 3}}
    assert train(toy_config(folder / "run", small_base, shards, **sections)) == "finished"
    assert main(["export", str(folder / "run"), "--pointer", "last"]) == 0
    return folder / "run"


def compared(run: Path, *flags: str) -> dict[str, Any]:
    output = run.parent / "scores.json"
    assert main(["eval", str(run), "--pointer", "last", "--output", str(output), *flags]) == 0
    (found,) = json.loads(output.read_text(encoding="utf-8"))["comparisons"]
    return dict(found)


def test_an_export_and_the_pipeline_of_hugging_face_write_the_same(run: Path, tmp_path: Path) -> None:
    said = tmp_path / "said.tsv"
    found = compared(run, "--compare", str(run / "export"), "--transcripts", str(said))
    with said.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    index = ShardIndex.load(str(run.parent / "shards"))
    reader = ShardReader(index)
    for language, own in found["languages"].items():
        assert own["same_text"] == own["utterances"] == 6 and own["p"] == {"cer": 1.0, "wer": 1.0}
        assert own["change"]["cer"] == own["change"]["cer_low"] == own["change"]["wer_high"] == 0
        place = {"pretrained_model_name_or_path": run / "export", "target_lang": language}
        model = Wav2Vec2ForCTC.from_pretrained(**place, ignore_mismatched_sizes=True).eval()
        processor = Wav2Vec2Processor.from_pretrained(**place)
        pipeline = AutomaticSpeechRecognitionPipeline(
            model=model, tokenizer=processor.tokenizer, feature_extractor=processor.feature_extractor
        )
        hypotheses = {int(line["row"]): line["hypothesis"] for line in lines if line["language"] == language}
        assert sum(map(bool, hypotheses.values())) > len(hypotheses) / 2  # silence would compare well with anything
        for row, hypothesis in hypotheses.items():
            audio = reader.read(language, "test", row).audio.astype(np.float32) / 2**15
            text = pipeline({"raw": audio, "sampling_rate": SAMPLE_RATE})["text"]
            # It shows the labels that are not text, which a model after six steps still writes.
            assert " ".join(re.sub("</?s>|<unk>", "", text).split()) == hypothesis
    reader.close()
    assert found["kind"] == "model" and found["mean"]["change"]["cer"] == 0


def test_a_model_of_the_hub_is_compared_and_scored(run: Path, tmp_path: Path) -> None:
    """Of a server that answers as the Hub does; in a process of its own, because its address is read at the import."""
    shutil.copytree(run / "export", tmp_path / "hub" / "models" / "facebook" / "mms-1b-all")
    alone = tmp_path / "hub" / "models" / "me" / "adapters"
    assert main(["export", str(run), "--pointer", "last", "--adapters-only", "--to", str(alone)]) == 0
    outputs = [tmp_path / "compared.json", tmp_path / "scored.json"]
    commands = [
        [
            "eval",
            str(run),
            "--pointer",
            "last",
            "--compare",
            "hf:facebook/mms-1b-all",
            "--compare",
            "hf:me/adapters",
            "--output",
            str(outputs[0]),
        ],
        ["eval", "hf:facebook/mms-1b-all", "--data.shards", str(run.parent / "shards"), "--output", str(outputs[1])],
        ["eval", "hf:me/adapters", "--data.shards", str(run.parent / "shards")],
    ]
    with hub_server(tmp_path / "hub") as server:
        told = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, json.dumps(commands)],
            cwd=ROOT,
            env=os.environ | told,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("/facebook/mms-1b-all/resolve/" in path for _, path, _ in server.requests)
    ours, scored = (json.loads(path.read_text(encoding="utf-8")) for path in outputs)
    found, on_our_base = ours["comparisons"]
    assert on_our_base["languages"] == found["languages"]
    assert "hf:me/adapters has adapters alone" in done.stderr and "--model.base BASE" in done.stderr
    assert (found["other"], found["kind"]) == ("hf:facebook/mms-1b-all", "model")
    for language, own in found["languages"].items():
        assert own["same_text"] == own["utterances"] == 6 and own["p"] == {"cer": 1.0, "wer": 1.0}
        assert own["cer"] == scored["languages"][language]["cer"] == ours["languages"][language]["cer"]
    assert set(found["languages"]) == {"taa", "tab"} == set(scored["languages"])
    rows = done.stdout.partition("compared with hf:facebook/mms-1b-all")[2].splitlines()
    assert any("same text" in row for row in rows) and any(row.split()[:1] == ["taa"] for row in rows), done.stdout


def test_an_export_is_scored_as_the_run_is(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, shards = tmp_path / "scores.json", str(run.parent / "shards")
    assert main(["eval", str(run), "--pointer", "last", "--output", str(output)]) == 0
    expected = json.loads(output.read_text(encoding="utf-8"))
    before = sorted(path.name for path in (run / "export").iterdir())
    capsys.readouterr()
    assert main(["eval", str(run / "export"), "--data.shards", shards, "--json", "--by", "duration"]) == 0
    found = json.loads(capsys.readouterr().out)
    for language, entry in found["languages"].items():
        assert {**entry, "step": 6, "checkpoint": "last"} == expected["languages"][language]
    assert found["languages"].keys() == expected["languages"].keys() and found["base"] == str(run / "export")
    assert sorted(path.name for path in (run / "export").iterdir()) == before
    by_python = evaluate(run / "export", split="test", languages=["tab"], settings=["--data.shards", shards])
    assert by_python["tab"].scores.cer == expected["languages"]["tab"]["cer"]


def test_languages_of_a_model_that_the_shards_lack_are_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=2, dev=2, test=2)
    command = ["eval", str(run / "export"), "--data.shards", str(shards)]
    assert main(command) == 0 and "not in the shards, left out: tab" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["languages"]) == ["taa"] and found["not_in_shards"] == ["tab"]


def test_adapters_alone_are_scored_on_the_base_that_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "--pointer", "last", "--adapters-only", "--to", str(tmp_path / "adapters")]) == 0
    command = ["eval", str(tmp_path / "adapters")]
    assert main(command) == 2 and "--data.shards SHARDS" in capsys.readouterr().err
    command += [f"--data.shards={run.parent / 'shards'}"]
    assert main(command) == 2 and "--model.base BASE" in capsys.readouterr().err
    assert main([*command, "--model.base", str(run / "export")]) == 0
    assert "not written; --output FILE writes them" in capsys.readouterr().out


def test_what_was_stored_is_kept_by_an_evaluation_with_the_same_scores(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(run, tmp_path / "run", symlinks=True))
    command, stored = ["eval", str(own), "--pointer", "last"], own / "eval" / "test.json"
    assert main([*command, "--compare", str(run / "export"), "--conditions", "soft:-20"]) == 0
    before = stored.read_text(encoding="utf-8")
    assert main(command) == 0
    assert "kept from before in" in capsys.readouterr().err
    assert json.loads(stored.read_text(encoding="utf-8")) == json.loads(before)
    assert main([*command, "--compare", str(run / "export")]) == 0
    assert f"the scores of {run / 'export'} under soft:-20" in capsys.readouterr().err
    assert json.loads(stored.read_text(encoding="utf-8")) == json.loads(before)
    assert main([*command, "--ignore", "case", "--json"]) == 0
    assert "no longer in" in capsys.readouterr().err
    assert "comparisons" not in json.loads(stored.read_text(encoding="utf-8"))


def test_another_run_is_compared_in_the_languages_that_it_has(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other", symlinks=True))
    shutil.rmtree(other / "adapters" / "tab")
    last = other / "adapters" / "taa" / "last"
    last.unlink()
    last.symlink_to("step-00000003")
    before = sorted(path.name for path in other.rglob("*"))
    found = compared(run, "--compare", str(other))
    assert list(found["languages"]) == ["taa"] and "does not have it" in found["left_out"]["tab"]
    assert (found["kind"], found["languages"]["taa"]["step"], found["note"]) == ("run", 3, None)
    told = " ".join(capsys.readouterr().out.split())  # the title of the table is folded if the path is long
    assert f"compared with {other}" in told and "tab: not compared" in told
    assert sorted(path.name for path in other.rglob("*")) == before


def test_adapters_alone_are_heard_on_the_base_of_the_run(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--pointer", "last", "--adapters-only", "--to", str(tmp_path / "adapters")]) == 0
    found = compared(run, "--compare", str(tmp_path / "adapters"), "--languages", "taa")
    assert found["languages"]["taa"]["same_text"] == 6


def test_another_model_that_breaks_costs_no_scores(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(run / "export", tmp_path / "other"))
    (other / "model.safetensors").write_bytes(b"")
    output = tmp_path / "scores.json"
    assert main(["eval", str(run), "--output", str(output), "--compare", str(other)]) == 1
    values = json.loads(output.read_text(encoding="utf-8"))
    assert set(values["languages"]) == {"taa", "tab"} and values["comparisons"][0]["mean"] is None
    assert "model.safetensors" in values["comparisons"][0]["left_out"]["taa"]
    assert f"error: taa of {other} was not scored: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("nowhere", "nowhere does not exist, expected the folder of a run"),
        ("hf:nobody/nothing", "there is no folder nobody/nothing here, and its vocab.json cannot be fetched"),
        (".", "has no vocab.json, so it is neither a run nor a model"),
    ],
)
def test_what_cannot_be_compared_ends_with_2_before_any_work(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", str(run), "--output", str(tmp_path / "scores.json"), "--compare", other]) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "scores.json").exists()


def test_a_run_with_another_split_is_refused(
    run: Path, tmp_path: Path, small_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other", symlinks=True))
    shards = build_toy_shards(tmp_path, languages=2, train=8, dev=2, test=8)
    text = (other / "config.yaml").read_text(encoding="utf-8")
    (other / "config.yaml").write_text(text.replace(str(run.parent / "shards"), str(shards)), encoding="utf-8")
    assert main(["eval", str(run), "--compare", str(other)]) == 2
    assert "the test split of taa has 6 utterances" in capsys.readouterr().err
