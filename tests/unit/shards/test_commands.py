"""`mms-dist shards` says what it did, and its exit status says whether all is well."""

import json

import pytest
import soundfile

from launcher.cli import main
from tests.shard_samples import build, sound, tree_sums, write_corpus


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


@pytest.mark.parametrize("codes", [("--lang", "it,Hungarian"), ("--languages", "ita", "hun")])
def test_languages_are_named_by_either_option_with_commas_or_blanks(codes, tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita", "hun"), utterances=6)
    shards = tmp_path / "shards"
    assert run("build", manifest, shards, "--workers", 1, *codes) == 0
    assert sorted(path.name for path in shards.iterdir() if path.name != ".build") == ["hun", "ita"]
    assert run("build", manifest, shards, "--workers", 1) == 0
    for command in ("verify", "inspect"):
        capsys.readouterr()
        assert run(command, shards, *codes) == 0
        out = capsys.readouterr().out
        assert "hun" in out and "ita" in out and "ron" not in out
    for code in ("hun", "ita", "ron"):
        (shards / code / "index.json").unlink()
    assert run("index", shards, "--dry-run", *codes) == 0
    out = capsys.readouterr().out
    assert "hun train" in out and "ita train" in out and "ron train" not in out


def test_a_language_that_names_a_folder_never_relabels_the_others(tmp_path):
    for name in ("ron/a", "ron/b", "ita/c"):
        path = tmp_path / "in" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(1), 16_000)
        path.with_suffix(".txt").write_text(name[-1])
    fractions = ("--dev-fraction", 0, "--test-fraction", 0, "--workers", 1)
    assert run("build", tmp_path / "in", tmp_path / "one", "--lang", "ron", *fractions) == 0
    assert run("build", tmp_path / "in", tmp_path / "all", "--lang", "hun", *fractions) == 0
    samples = {
        (place, code): json.loads((tmp_path / place / code / "index.json").read_text())["splits"]["train"]["samples"]
        for place, code in (("one", "ron"), ("all", "hun"))
    }
    assert samples == {("one", "ron"): 2, ("all", "hun"): 3}


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_are_as_wide_as_columns_says_and_break_no_word(width, tmp_path, capsys, monkeypatch):
    dense = {"audio": "ron/clip000.wav", "text": "prea mult text " * 30, "lang": "srp-script_latin"}
    short = {"audio": "ron/clip001.wav", "text": "scurt", "lang": "srp-script_latin"}
    manifest = write_corpus(tmp_path / "corpus", extra=[dense, short])
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(tmp_path)
    arguments = ("--dev-fraction", 0, "--test-fraction", 0, "--workers", 1)
    for command in (
        ("build", manifest, "out", "--dry-run"),
        ("build", manifest, "out", *arguments),
        ("inspect", "out"),
    ):
        assert run(*command) == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= width + 20  # lines that are no table are not wrapped
        assert all(len(line) <= width for line in out.splitlines() if line[:1] in "┏┃│└")
        for word in ("language", "train", "left out", "srp-script_latin"):
            assert word in out
    assert "more_labels_than_frames" in out


def test_without_a_terminal_and_columns_tables_have_100_columns(manifest, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert run("build", manifest, tmp_path / "shards", "--workers", 1) == 0
    capsys.readouterr()
    assert run("inspect", tmp_path / "shards") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] in "┏┃│└"]
    assert 80 < max(map(len, lines)) <= 100


def test_one_of_a_thing_is_not_many(tmp_path, capsys):
    build = run("build", write_corpus(tmp_path / "corpus"), tmp_path / "shards", "--workers", 1)
    assert (build, run("verify", tmp_path / "shards", "--workers", 1)) == (0, 0)
    assert "all sound: 1 language\n" in capsys.readouterr().out
    (tmp_path / "shards" / "ron" / "vocab.json").unlink()
    assert run("verify", tmp_path / "shards", "--workers", 1) == 1
    out = capsys.readouterr().out
    assert "ron: 0 of 20 utterances read, 1 problem\n" in out
    assert "1 problem in 1 language\n" in out


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


def test_punctuation_case_and_words_beside_markup_are_kept_if_asked(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", sound(1.5), 16_000)
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        json.dumps({"audio": "a.wav", "text": "[noise] Da, Ana!", "lang": "ro", "split": "train"}) + "\n"
    )
    assert run("build", manifest, tmp_path / "plain", "--workers", 1) == 2
    assert "1 markup" in capsys.readouterr().err
    options = ("--workers", 1, "--keep", "punctuation,case", "--markup", "remove")
    assert run("build", manifest, tmp_path / "kept", *options) == 0
    vocabulary = json.loads((tmp_path / "kept" / "ron" / "vocab.json").read_text())["ron"]
    assert set("Da,Ana!") < set(vocabulary)
    (tmp_path / "kept" / "ron" / "index.json").unlink()
    assert run("index", tmp_path / "kept", "--workers", 1, "--keep", "case,punctuation") == 0
    assert json.loads((tmp_path / "kept" / "ron" / "vocab.json").read_text())["ron"] == vocabulary


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
        (["build", "nowhere.tsv", "out"], "nowhere.tsv cannot be read: No such file"),
        (
            ["build", "MANIFEST", "out", "--lang", "no"],
            "--lang: language 'no' may be several; write the one that is meant: nno",
        ),
        (["build", "MANIFEST", "out", "--lang", "xqz"], "language 'xqz' is unknown"),
        (["build", "MANIFEST", "out", "--dev-fraction", "0.6", "--test-fraction", "0.5"], "sum is below 1"),
        (["build", "MANIFEST", "out", "--dev-fraction", "2"], "found '2', expected a number from 0"),
        (["build", "MANIFEST", "out", "--keep", "cases"], "found 'cases' (did you mean 'case'?), expected punctuation"),
        (["build", "MANIFEST", "out", "--workers", "0"], "found '0', expected a whole number"),
        (["build", "MANIFEST", "out", "--min-seconds", "9", "--max-seconds", "3"], "is above --max-seconds"),
        (["build", "MANIFEST", "out", "--text-rules", "no.yaml"], "text rules no.yaml cannot be read"),
        (["verify", "nowhere"], "or create it with 'mms-dist shards build SOURCE nowhere'"),
        (["build", "--lang", "ron", "a/b.tsv", "out"], "write paths before --lang"),
        (["bild", "MANIFEST", "out"], "there is no command 'bild'; did you mean 'build'?\nsee: mms-dist shards --help"),
        (["build", "corpus/ron", "out", "--audio-root", "."], ", but corpus/ron is read as folder; leave it out"),
        (["inspect", "out", "--zzz"], "unrecognised arguments: --zzz\nsee: mms-dist shards inspect --help"),
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


def test_a_language_that_cannot_be_built_exits_with_1_and_others_are_built(tmp_path, capsys):
    short = [{"audio": "ron/clip000.wav", "text": "unu doi", "lang": "hun", "start": 0, "end": 0.1}]
    manifest = write_corpus(tmp_path / "corpus", languages=("ron",), utterances=6, extra=short)
    for _ in range(2):  # the same command again says the same
        assert run("build", manifest, tmp_path / "shards", "--workers", 1) == 1
        told = capsys.readouterr()
        assert told.err.startswith("error: hun: no training utterances left in hun: left out 1 too_short")
        assert sorted(path.parent.name for path in tmp_path.glob("shards/*/index.json")) == ["ron"]


def test_a_recording_that_does_not_exist_is_exit_status_2(manifest, tmp_path, capsys):
    (tmp_path / "corpus" / "ron" / "clip004.wav").unlink()
    assert run("build", manifest, tmp_path / "out", "--lang", "ron") == 2
    assert "clip004.wav" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_starts_without_torch():
    import subprocess
    import sys

    code = (
        "import sys, launcher.commands.shards as command\n"
        "import shards.index, shards.read\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_transcripts_of_a_source_and_of_its_shards_are_inspected(tmp_path, capsys):
    lines = ["audio\ttext\tlang\tsplit"]
    texts = ["Cаsa mare!", "5 case", "[noise] da", "casa & da", "Ana are casa", "casa mea"]
    for number, text in enumerate(texts):
        soundfile.write(tmp_path / f"{number}.wav", sound(1, seed=number), 16_000)
        lines.append(f"{number}.wav\t{text}\tro\ttrain")
    manifest = tmp_path / "m.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    assert run("inspect", "--text", manifest) == 0
    out = capsys.readouterr().out
    for said in (
        *("ron: 6 transcripts, 3 usable", "become spaces: ! (1)", "cost their transcript: & (1)"),
        *(
            "а (U+0430, Cyrillic) like a (U+0061), 1",
            "numbers in transcripts left out: 5 (1)",
            "in brackets: noise (1)",
        ),
        *('"\\u0430": "a"', 'markup: ["noise"]'),
    ):
        assert said in out
    shards = tmp_path / "shards"
    assert run("build", manifest, shards, "--workers", 1, "--markup", "remove") == 0
    capsys.readouterr()
    assert run("inspect", "--text", shards, "--markup", "remove", "--json") == 0
    (survey,) = json.loads(capsys.readouterr().out)
    assert (survey["language"], survey["transcripts"], survey["usable"]) == ("ron", 4, 4)
    assert survey["look_alikes"] == {"а": "a"}
    assert survey["markup"] == {"noise": 1}
    assert survey["seen"]["!"] == 1, "transcripts are read as they were"
    assert [lengths["unit"] for lengths in survey["lengths"]] == ["letters a second"]
    assert run("inspect", "--text", shards, "--lang", "hu") == 2


def test_one_bad_language_stops_no_other_and_is_listed_until_it_is_mended(tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", languages=("hun", "ita", "ron", "spa"), utterances=6)
    (tmp_path / "corpus" / "ita" / "clip004.wav").rename(tmp_path / "clip004.wav")
    (tmp_path / "shards" / "spa").mkdir(parents=True)
    (tmp_path / "shards" / "spa" / "train-0.tar").write_bytes(b"precious")
    command = ("build", manifest, tmp_path / "shards", "--workers", 1)
    assert run(*command, "--dry-run") == 1
    assert "1 recording missing" in capsys.readouterr().err
    assert not (tmp_path / "shards" / "failed.json").exists()
    assert run(*command) == 1
    shown = capsys.readouterr()
    assert "ita failed: 1 recording missing" in shown.out and str(tmp_path / "shards" / "failed.json") in shown.out
    assert "clip004.wav" in shown.err and "'shards build' did not write" in shown.err
    listed = json.loads((tmp_path / "shards" / "failed.json").read_text())
    assert listed.keys() == {"ita", "spa"} and "--skip-missing-audio" in listed["ita"]["fix"]
    assert sorted(path.parent.name for path in (tmp_path / "shards").glob("*/index.json")) == ["hun", "ron"]
    (tmp_path / "clip004.wav").rename(tmp_path / "corpus" / "ita" / "clip004.wav")
    assert run(*command, "--only", "ita") == 0  # as a task of a job array; the others' failures stay
    assert json.loads((tmp_path / "shards" / "failed.json").read_text()).keys() == {"spa"}
    (tmp_path / "shards" / "spa" / "train-0.tar").unlink()
    assert run(*command) == 0
    assert not (tmp_path / "shards" / "failed.json").exists()
    assert run("verify", tmp_path / "shards", "--workers", 1) == 0


def test_one_bad_language_does_not_stop_indexing_the_others(tmp_path, capsys):
    build(write_corpus(tmp_path / "corpus", languages=("hun", "ita", "ron"), utterances=6), tmp_path / "shards")
    for index in (tmp_path / "shards").glob("*/index.json"):
        index.unlink()
    for tar in (tmp_path / "shards" / "ita").glob("train*.tar"):
        tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    assert run("index", tmp_path / "shards", "--workers", 1) == 1
    assert "ita" in capsys.readouterr().err
    assert sorted(path.parent.name for path in (tmp_path / "shards").glob("*/index.json")) == ["hun", "ron"]
    assert json.loads((tmp_path / "shards" / "failed.json").read_text()).keys() == {"ita"}
    for tar in (tmp_path / "shards" / "ita").glob("*.tar"):
        tar.unlink()
    build(tmp_path / "corpus" / "corpus.jsonl", tmp_path / "again")
    for tar in (tmp_path / "again" / "ita").glob("*.tar"):
        tar.rename(tmp_path / "shards" / "ita" / tar.name)
    assert run("index", tmp_path / "shards", "--workers", 1) == 0
    assert not (tmp_path / "shards" / "failed.json").exists()
