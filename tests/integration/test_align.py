"""`mms-dist shards align` resumes, works in parts, and never mixes the scores of models."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from mms_dist.alignment.viterbi import align
from mms_dist.emissions.acoustic_model import load_acoustic_model
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards
from tests.training import toy_config, train


@pytest.fixture(scope="module")
def folder(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run` (hardly trained), its `export`, `shards`, and two talks in taa and one in tab, with their texts."""
    folder = tmp_path_factory.mktemp("align")
    shards = build_toy_shards(folder, languages=2, train=6, dev=3)
    assert train(toy_config(folder / "run", small_base, shards, optim={"steps": 4})) == "finished"
    assert main(["export", str(folder / "run"), "--to", str(folder / "export")]) == 0
    reader = ShardReader(ShardIndex.load(str(shards)))
    for language in ("taa", "tab"):
        (folder / "talks" / language).mkdir(parents=True)
        utterances = [reader.read(language, "dev", row) for row in range(3)]
        audio = np.concatenate([utterance.audio for utterance in utterances])
        for number in range(2 if language == "taa" else 1):
            soundfile.write(folder / "talks" / language / f"{number}.wav", audio, SAMPLE_RATE)
            (folder / "talks" / language / f"{number}.txt").write_text("\n".join(each.text for each in utterances))
    return folder


def run(*arguments: object) -> int:
    return main(["shards", "align", *map(str, arguments), "--processes", "1"])


def test_it_resumes_in_parts_and_keeps_the_scores_of_models_apart(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talks, cut = folder / "talks", tmp_path / "cut"
    assert run(folder / "export", talks, "--to", cut, "--part", "0/2") == 0
    manifest = cut / "taa" / "0.aligned.jsonl"
    first = manifest.read_bytes()
    assert not (cut / "taa" / "1.aligned.jsonl").exists() and (cut / "tab" / "0.aligned.jsonl").is_file()
    assert run(folder / "run", talks, "--to", cut) == 0
    assert "2 of 3 recordings are already" in capsys.readouterr().err
    assert manifest.read_bytes() == first and (cut / "taa" / "1.aligned.jsonl").is_file()
    assert run(folder / "run", talks, "--to", cut) == 0
    assert "3 of 3 recordings are already" in capsys.readouterr().err
    os.utime(manifest, ns=(0, 0))  # as if the text had been changed since
    assert run(folder / "run", talks, "--to", cut) == 0
    assert manifest.stat().st_mtime_ns and manifest.read_bytes() == first
    manifest.write_text('{"align_model": "another"}\n')
    assert run(folder / "run", talks, "--to", cut) == 2
    assert "aligned by another model (another, now base" in capsys.readouterr().err
    assert run(folder / "run", talks, "--to", cut, "--force") == 0
    assert manifest.read_bytes() == first


def test_tasks_of_a_job_array_share_the_recordings(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in (0, 1):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "0")
        monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "1")
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
        assert run(folder / "export", folder / "talks", "--to", tmp_path / "cut", "--part", "array") == 0
        assert len(list((tmp_path / "cut").rglob("*.aligned.jsonl"))) == (2, 3)[task]


def test_what_is_wrong_is_said_before_any_work(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, expected in (
        ((folder / "run", folder / "talks"), "give one with --to FOLDER"),
        ((folder / "run", tmp_path, "--to", tmp_path / "cut"), "is empty"),
        ((folder / "run", folder / "talks", "--to", tmp_path / "cut", "--lang", "taz"), "taz"),
        (
            (folder / "run", folder / "talks", "--to", tmp_path / "c", "--min-seconds", 9, "--max-seconds", 5),
            "is above",
        ),
    ):
        assert run(*arguments) == 2
        assert expected in capsys.readouterr().err


def test_a_run_and_its_export_are_one_model(folder: Path) -> None:
    models = [load_acoustic_model(str(folder / name), ["taa", "tab"]) for name in ("run", "export")]
    taa, tab = (models[0].identity(language) for language in ("taa", "tab"))
    assert [models[1].identity(language) for language in ("taa", "tab")] == [taa, tab]
    assert taa.split(",")[0] == tab.split(",")[0] and taa != tab.replace("tab", "taa")


def test_word_times_are_exact_on_outputs_of_a_model(folder: Path) -> None:
    model = load_acoustic_model(str(folder / "export"), ["taa"])
    reader = ShardReader(ShardIndex.load(str(folder / "shards")))
    for number in range(3):
        utterance = reader.read("taa", "dev", number)
        log_prob_TV = model.log_probs(["taa"], [utterance.audio])[0].astype(np.float64)
        labels = model.vocabularies["taa"].encode(utterance.text.replace(" ", ""))
        assert align(log_prob_TV, labels).score == pytest.approx(slow_score(log_prob_TV, labels))


def slow_score(log_prob_TV: np.ndarray, labels: list[int]) -> float:
    """The best path by the textbook's recursion (Graves 2006); a space may also be heard before and after the text."""
    states = [0, *(state for label in labels for state in (label, 0))]
    best = {-1: 0.0}
    for row in log_prob_TV.tolist():
        after: dict[int, float] = {}
        for state, score in best.items():
            for step in (0, 1, 2):
                other = state + step
                if not 0 <= other < len(states) or (state < 0 and step == 0):
                    continue
                if step == 2 and state >= 0 and (states[other] == 0 or states[other] == states[state]):
                    continue
                heard = max(row[0], row[4]) if other in (0, len(states) - 1) else row[states[other]]
                after[other] = max(after.get(other, -np.inf), score + heard)
        best = after
    return max(best.get(len(states) - 1, -np.inf), best.get(len(states) - 2, -np.inf))
