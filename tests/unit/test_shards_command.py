"""`mms-dist shards` says what it did, and its exit status says whether all is well."""

import json

import pytest
import soundfile

from launcher.cli import main
from tests.shard_samples import sound, tree_sums, write_corpus


@pytest.fixture
def manifest(tmp_path):
    extra = [{"audio": "ron/clip001.wav", "text": "[râs]", "lang": "ron", "start": 0, "end": 0.4}]
    return write_corpus(tmp_path / "corpus", languages=("ron", "ita"), extra=extra)


def run(*arguments):
    return main(["shards", *map(str, arguments)])


def test_build_verify_and_inspect_from_one_end_to_the_other(manifest, tmp_path, capsys):
    shards = tmp_path / "shards"
    assert run("build", manifest, shards, "--workers", 1) == 0
    out = capsys.readouterr().out
    assert "ron: 20 utterances" in out
    assert "markup" in out and "[râs]" in out
    assert run("verify", shards, "--workers", 1) == 0
    assert "all sound: 2 languages" in capsys.readouterr().out
    assert run("inspect", shards, "--lang", "ron") == 0
    out = capsys.readouterr().out
    assert "median s" in out and "lengths of utterances" in out
    assert "0.75 – 1 s" in out
    assert run("build", manifest, shards, "--workers", 1) == 0
    assert "unchanged since it was built" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(manifest, tmp_path, capsys):
    assert run("build", manifest, tmp_path / "shards", "--dry-run") == 0
    assert "to build" in capsys.readouterr().out
    assert not (tmp_path / "shards").exists()


def test_only_the_languages_asked_for_are_built(manifest, tmp_path, capsys):
    assert run("build", manifest, tmp_path / "shards", "--languages", "ita", "--workers", 1) == 0
    assert [path.name for path in (tmp_path / "shards").iterdir() if path.name != ".build"] == ["ita"]
    assert run("build", manifest, tmp_path / "shards", "--languages", "itta") == 2
    assert "did you mean 'ita'" in capsys.readouterr().err


def test_a_folder_of_recordings_is_built_with_text_rules_of_ones_own(tmp_path, capsys):
    for number in range(6):
        path = tmp_path / "in" / "ron" / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(1, seed=number), 16_000)
        path.with_suffix(".txt").write_text(f"{'abcdef'[number]}-x Țară")
    (tmp_path / "rules.yaml").write_text("languages: {ron: {hyphens: keep, lower: false}}")
    assert run("build", tmp_path / "in", tmp_path / "out", "--text-rules", tmp_path / "rules.yaml", "--workers", 1) == 0
    vocabulary = json.loads((tmp_path / "out" / "ron" / "vocab.json").read_text())["ron"]
    assert {"-", "Ț"} <= vocabulary.keys()


def test_damage_makes_verify_exit_with_1_and_is_named(manifest, tmp_path, capsys):
    assert run("build", manifest, tmp_path / "shards", "--workers", 1) == 0
    path = tmp_path / "shards" / "ita" / "train-000000.tar"
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    capsys.readouterr()
    assert run("verify", tmp_path / "shards", "--workers", 1) == 1
    out = capsys.readouterr().out
    assert "ita: WRONG: utterance clip" in out
    assert "ron: 20 utterances read, sound" in out


def test_foreign_tars_are_indexed_and_a_dry_run_only_lists_them(manifest, tmp_path, capsys):
    assert run("build", manifest, tmp_path / "shards", "--workers", 1) == 0
    for name in ("index.json", "vocab.json", "samples.parquet"):
        (tmp_path / "shards" / "ron" / name).unlink()
    before = tree_sums(tmp_path / "shards")
    assert run("index", tmp_path / "shards", "--dry-run") == 0
    assert "ron train:" in capsys.readouterr().out
    assert tree_sums(tmp_path / "shards") == before
    assert run("index", tmp_path / "shards", "--workers", 1) == 0
    assert run("verify", tmp_path / "shards", "--workers", 1) == 0
    assert run("index", tmp_path / "shards") == 0
    assert "has an index" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "nowhere.tsv", "out"], "nowhere.tsv can not be read: No such file"),
        (["build", "MANIFEST", "out", "--lang", "ro"], "'ro' is not ISO 639-3"),
        (["build", "MANIFEST", "out", "--dev-fraction", "0.6", "--test-fraction", "0.5"], "sum must be below 1"),
        (["build", "MANIFEST", "out", "--dev-fraction", "2"], "2 is not in 0 … 1"),
        (["build", "MANIFEST", "out", "--workers", "0"], "0 is not above 0"),
        (["build", "MANIFEST", "out", "--min-seconds", "9", "--max-seconds", "3"], "is above --max-seconds"),
        (["build", "MANIFEST", "out", "--text-rules", "no.yaml"], "text rules no.yaml can not be read"),
        (["verify", "nowhere"], "no folder nowhere"),
        (["inspect", "nowhere"], "no folder nowhere"),
        (["index", "nowhere"], "no folder nowhere"),
        (["verify"], "SHARDS"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2_and_nothing_is_written(
    arguments, message, manifest, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(*[manifest if argument == "MANIFEST" else argument for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_recording_that_does_not_exist_is_exit_status_2(manifest, tmp_path, capsys):
    (tmp_path / "corpus" / "ron" / "clip004.wav").unlink()
    assert run("build", manifest, tmp_path / "out") == 2
    assert "clip004.wav" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_starts_without_torch_and_without_the_libraries_of_shards():
    import subprocess
    import sys

    code = (
        "import sys, launcher.commands.shards as command\n"
        "import shards.index, shards.read\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
