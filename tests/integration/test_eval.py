"""`mms-dist eval` scores what the run's checkpoints say, and reads without changing anything but its own folder."""

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jiwer
import pytest
import yaml

from launcher.cli import main
from mms_dist.checkpoint.store import CheckpointStore
from tests.corpus import build_toy_shards


@pytest.fixture(scope="module")
def trained(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two languages over a few steps, with an evaluation in the middle and one at the end."""
    folder = tmp_path_factory.mktemp("eval")
    shards = build_toy_shards(folder, languages=2, train=8, dev=3)
    values = {
        "run": {"directory": str(folder / "run")},
        "model": {"base": str(small_base)},
        "data": {"shards": str(shards), "workers": 0},
        "optim": {"lr": 1e-5, "steps": 4, "warmup_steps": 0, "batch_seconds": 4.0},
        "evaluation": {"every_steps": 2},
        "checkpoint": {"every_rounds": 1},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", str(path)]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))


def evaluate(run: Path, *flags: str) -> dict[str, Any]:
    output = run.parent / "scores.json"
    assert main(["eval", str(run), "--split", "dev", "--output", str(output), *flags]) == 0
    return dict(json.loads(output.read_text(encoding="utf-8")))


def hypotheses(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_scores_match_the_transcripts_and_what_training_measured(run: Path, tmp_path: Path) -> None:
    values = evaluate(run, "--transcripts", str(tmp_path / "said.tsv"))
    rows = hypotheses(tmp_path / "said.tsv")
    with CheckpointStore(run / "adapters", keep=1) as store:
        for language in ("taa", "tab"):
            own = [row for row in rows if row["language"] == language]
            cer = jiwer.cer([row["reference"] for row in own], [row["hypothesis"] for row in own])
            scored = values["languages"][language]
            assert len(own) == scored["utterances"] == 3 and not own[0]["key"].startswith("dev/")
            assert scored["cer"] == pytest.approx(cer)
            best = store.load(language, pointer="best")
            assert scored["step"] == best.step and scored["cer"] == best.state["best"]["cer"]
    assert values["mean"]["cer"] == pytest.approx(sum(v["cer"] for v in values["languages"].values()) / 2)


def test_where_it_fails_is_stored_printed_and_consistent(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = evaluate(run, "--by", "duration,speaker", "--confusions")
    told = capsys.readouterr().out
    assert "scored as transcribed (lower case, no punctuation)" in told and "most frequent confusions" in told
    assert "by speaker: no language has several in its shards" in told
    for language in values["languages"].values():
        for groups in language["by"].values():
            assert sum(each["utterances"] for each in groups.values()) >= language["utterances"]
            edits = sum(each["character_edits"]["deletions"] for each in groups.values())
            assert edits >= language["character_edits"]["deletions"]
        assert language["scoring"] == {
            "case": "counted",
            "punctuation": "counted",
            "spaces": "counted",
            "transcripts": {"case": "lower", "punctuation": "dropped"},
        }
        assert language["confusions"]["characters"]


def test_json_is_what_is_stored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--split", "dev", "--json", "--ignore", "case,punctuation"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "eval" / "dev.json").read_text(encoding="utf-8"))
    assert printed["languages"]["taa"]["scoring"]["case"] == "ignored"


def test_the_run_is_only_read(run: Path) -> None:
    def contents() -> dict[str, str]:
        files = (path for path in run.rglob("*") if path.is_file() and "eval" not in path.parts[len(run.parts) :])
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = contents()
    assert main(["eval", str(run), "--split", "dev"]) == 0
    assert contents() == before


def test_only_scores_of_all_languages_on_a_whole_split_are_kept_in_the_run(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(run), "--split", "dev"]) == 0
    before = (run / "eval" / "dev.json").read_text(encoding="utf-8")
    assert set(json.loads(before)["languages"]) == {"taa", "tab"}
    for flags in (["--languages", "tab"], ["--max-utterances", "2"]):
        capsys.readouterr()
        assert main(["eval", str(run), "--split", "dev", *flags]) == 0
        assert "not written" in capsys.readouterr().out
        assert (run / "eval" / "dev.json").read_text(encoding="utf-8") == before


def test_scores_of_other_shards_are_not_kept_as_those_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(yaml.safe_load((run / "config.yaml").read_text())["data"]["shards"], tmp_path / "other")
    assert main(["eval", str(run), "--split", "dev", "--data.shards", str(other)]) == 0
    told = capsys.readouterr()
    assert (
        "not written; --output FILE writes them" in told.out and f"these scores are of data.shards {other}" in told.err
    )
    assert not (run / "eval" / "dev.json").exists() and not (run / "eval" / "dev.tsv").exists()


def test_a_language_that_fails_costs_no_stored_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run), "--split", "dev"]) == 0
    before = {path.name: path.read_bytes() for path in (run / "eval").iterdir()}
    for path in (run / "adapters" / "tab").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    capsys.readouterr()
    assert main(["eval", str(run), "--split", "dev"]) == 1
    assert "it has scores of tab, which failed now" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (run / "eval").iterdir()} == before


def test_languages_pointer_and_amount_can_be_chosen(run: Path) -> None:
    values = evaluate(run, "--languages", "tab", "--pointer", "last", "--max-utterances", "2")
    assert list(values["languages"]) == ["tab"]
    assert values["languages"]["tab"]["step"] == 4 and values["languages"]["tab"]["checkpoint"] == "last"
    assert values["languages"]["tab"]["utterances"] == 2


def test_languages_are_separated_by_spaces_or_commas(run: Path) -> None:
    for flags in (["taa", "tab"], ["taa,tab"], ["taa,", "tab"]):
        assert list(evaluate(run, "--languages", *flags)["languages"]) == ["taa", "tab"]


def test_a_damaged_checkpoint_is_named_and_another_whole_one_is_scored(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = run / "adapters" / "taa" / "best" / "adapter.taa.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    values = evaluate(run)
    assert "adapter.taa.safetensors" in capsys.readouterr().out and values["damaged"]
    assert values["languages"]["taa"]["checkpoint"] == "newest"


def test_without_a_best_checkpoint_the_last_is_scored_and_marked_as_such(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "adapters" / "tab" / "best").unlink()
    values = evaluate(run)
    assert values["languages"]["tab"]["checkpoint"] == "last"
    assert "tab: scored with its last checkpoint, step 4" in capsys.readouterr().out


def test_transcripts_are_decoded_with_the_vocabulary_of_the_checkpoint(run: Path, tmp_path: Path) -> None:
    evaluate(run, "--transcripts", str(tmp_path / "own.tsv"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    other = Path(shutil.copytree(config["data"]["shards"], tmp_path / "shards"))
    path = other / "taa" / "vocab.json"
    tokens = json.loads(path.read_text(encoding="utf-8"))["taa"]
    renumbered = {token: number if number < 5 else len(tokens) + 4 - number for token, number in tokens.items()}
    path.write_text(json.dumps({"taa": renumbered}), encoding="utf-8")
    evaluate(run, "--transcripts", str(tmp_path / "other.tsv"), "--data.shards", str(other))
    assert all(row["hypothesis"] for row in hypotheses(tmp_path / "own.tsv"))  # the lr leaves it babbling
    assert hypotheses(tmp_path / "own.tsv") == hypotheses(tmp_path / "other.tsv")


def test_a_missing_split_says_what_there_is_and_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run)]) == 2
    told = capsys.readouterr().err
    assert "no test utterances, only train (8), dev (3)" in told and "--split" in told
    assert not (run / "eval").exists()


def test_a_truncated_shard_is_named_and_nothing_is_scored(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    other = Path(shutil.copytree(config["data"]["shards"], tmp_path / "shards"))
    (shard,) = (other / "tab").glob("dev-*.tar")
    shard.write_bytes(shard.read_bytes()[:-512])
    assert main(["eval", str(run), "--split", "dev", "--data.shards", str(other)]) == 2
    assert shard.name in capsys.readouterr().err
    assert not (run / "eval").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--languages", "xyz"], "choose from taa, tab"),
        (["--adapter.dim", "8"], "set adapter.dim to 16"),
        (["--model.base", "/nowhere"], "/nowhere"),
        (["--device", "cuda:9"], "cuda:9"),
        (["--output", "/proc/nowhere/x.json"], "cannot write"),
        (["--by", "speaker,age"], "found 'age', expected some of speaker, duration, source, tag"),
        (["--ignore", "spaces"], "found 'spaces', expected some of case, punctuation"),
    ],
)
def test_an_error_that_a_user_can_fix_ends_with_status_2(
    run: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    assert main(["eval", str(run), "--split", "dev", *flags]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(tmp_path)]) == 2
    assert "config.yaml" in capsys.readouterr().err
