"""`shards build` flags what it writes, and `shards flag` does the same for shards that are there already."""

import json
import shutil

import fsspec
import numpy as np
import pyarrow.parquet
import pytest
import soundfile

from launcher.cli import main
from shards import remote
from shards.build.flag_shards import flag_language
from shards.build.store_scores import store_scores
from shards.flags.language_models import LanguageModels
from shards.flags.measures import MEASURES
from shards.flags.names import FLAGS_COLUMN, FlagOptions
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.schema import INDEX_NAME, TABLE_NAME
from shards.splits import SPLITS
from shards.verify import verify_shards
from tests.demo_clips import RATE, copy_of, demo_clips
from tests.shard_samples import sound, tree_sums, write_corpus


def table_of(shards, code="ita"):
    return pyarrow.parquet.read_table(shards / code / TABLE_NAME)


def flags_in(shards, code="ita"):
    index = json.loads((shards / code / INDEX_NAME).read_text())
    return {flag: entry["count"] for flag, entry in index["flags"]["found"].items()}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Real sentences: Italian, of which one is clipped, one a cut copy and one has an English text; and English."""
    folder = tmp_path_factory.mktemp("flagged")
    clips = demo_clips("ita-train-1", least_seconds=1.5)[:28]
    lines = [(f"ita{row:02}", clip.audio, clip.text, "ita") for row, clip in enumerate(clips)]
    lines[3] = ("loud", copy_of(clips[3].audio, gain=30), clips[3].text, "ita")
    lines.append(("again", copy_of(clips[5].audio, gain=0.5, cut_seconds=0.2), "un testo del tutto diverso", "ita"))
    lines.append(("foreign", clips[6].audio[::-1], "please enter the password and press the pound key", "ita"))
    lines += [(f"eng{row:02}", clip.audio, clip.text, "eng") for row, clip in enumerate(demo_clips("eng-dev-1")[:25])]
    rows = ["audio\ttext\tlang\tsplit"]
    for name, audio, text, code in lines:
        soundfile.write(folder / f"{name}.wav", audio, RATE)
        rows.append(f"{name}.wav\t{text}\t{code}\t{'test' if name == 'ita05' else 'train'}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "manifest.tsv"


@pytest.fixture(scope="module")
def shards(manifest):
    assert main(["shards", "build", str(manifest), str(manifest.parent / "shards"), "--workers", "1"]) == 0
    return manifest.parent / "shards"


def key_of(table, name):
    return next(row for row, key in enumerate(table["key"]) if key.startswith(f"{name}-"))


def test_a_build_flags_by_name_in_the_table_and_counts_in_the_index(shards):
    table = table_of(shards).to_pydict()
    assert table[FLAGS_COLUMN][key_of(table, "loud")].split(",")[0] == "clipped"
    assert table[FLAGS_COLUMN][key_of(table, "again")].split(",")[0] == "near_duplicate_audio"
    assert table[FLAGS_COLUMN][key_of(table, "ita05")] == "", "test keeps its own"
    counted = flags_in(shards)
    assert counted["clipped"] == counted["near_duplicate_audio"] == 1 and "unexpected_language" not in counted
    assert sum(bool(each) for each in table[FLAGS_COLUMN]) <= sum(counted.values())


def test_the_tables_do_not_depend_on_workers(manifest, shards, tmp_path):
    assert main(["shards", "build", str(manifest), str(tmp_path / "two"), "--workers", "2"]) == 0
    assert tree_sums(tmp_path / "two") == tree_sums(shards)


def test_the_command_compares_languages_and_decodes_older_shards(shards, tmp_path, capsys):
    old = shutil.copytree(shards, tmp_path / "old")
    for code in ("eng", "ita"):
        table = table_of(old, code)
        pyarrow.parquet.write_table(table.drop_columns([FLAGS_COLUMN, *MEASURES]), old / code / TABLE_NAME)
        content = json.loads((old / code / INDEX_NAME).read_text())
        del content["flags"]
        (old / code / INDEX_NAME).write_text(json.dumps(content))
    assert main(["shards", "inspect", str(old)]) == 0
    assert "without flags: eng, ita; 'mms-dist shards flag SHARDS'" in " ".join(capsys.readouterr().out.split())
    before = tree_sums(old)
    assert main(["shards", "flag", str(old), "--dry-run", "--workers", "1"]) == 0
    assert tree_sums(old) == before
    assert main(["shards", "flag", str(old), "--workers", "2"]) == 0
    assert main(["shards", "flag", str(shards), "--workers", "1"]) == 0
    assert "reads like another language" in capsys.readouterr().out
    assert flags_in(old)["unexpected_language"] == 1 and flags_in(old) == flags_in(shards)
    for code in ("eng", "ita"):
        new, made = table_of(old, code), table_of(shards, code)
        assert new.select(made.column_names).equals(made)
    assert not any(each.problems for each in verify_shards(str(old), None, workers=1, advance=lambda count: None))
    again = tree_sums(old)
    assert main(["shards", "flag", str(old), "--workers", "1"]) == 0 and tree_sums(old) == again


def test_flagged_utterances_are_dropped_on_request_and_counted(manifest, tmp_path, capsys):
    command = ["shards", "build", str(manifest), str(tmp_path / "kept"), "--lang", "ita", "--workers", "1"]
    assert main([*command, "--drop-flagged", "near_duplicate_audio,clipped"]) == 0
    content = json.loads((tmp_path / "kept" / "ita" / INDEX_NAME).read_text())
    assert {reason: entry["count"] for reason, entry in content["drops"].items()} == {
        "near_duplicate_audio": 1,
        "clipped": 1,
    }
    assert "again.wav: a copy of ita05-" in content["drops"]["near_duplicate_audio"]["examples"][0]
    table = table_of(tmp_path / "kept").to_pydict()
    assert len(table["key"]) == 28 and not {"clipped", "near_duplicate_audio"} & flags_in(tmp_path / "kept").keys()
    assert not {key.partition("-")[0] for key in table["key"]} & {"loud", "again"}
    capsys.readouterr()
    assert main([*command, "--drop-flagged", "clipped,near_duplicate_audio", "--threshold", "clipped=0.001"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main(command) == 0 and len(table_of(tmp_path / "kept")) == 30, "without the option, they are back"


def test_flags_that_a_build_cannot_find_or_does_not_know_are_refused(manifest, tmp_path, capsys):
    for flag, said in (("unexpected_language", "mms-dist shards flag SHARDS"), ("clip", "did you mean 'clipped'")):
        assert main(["shards", "build", str(manifest), str(tmp_path / "no"), "--drop-flagged", flag]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert main(["shards", "flag", str(tmp_path), "--threshold", "clipped=high"]) == 2
    assert "expected FLAG=VALUE" in capsys.readouterr().err


def test_scores_that_are_stored_later_are_flagged(shards, tmp_path):
    scored = shutil.copytree(shards, tmp_path / "scored")
    index = ShardIndex.load(str(scored)).language("ita")
    scores = {split: np.linspace(-0.4, -0.2, index.utterances(split)).astype(np.float32) for split in SPLITS}
    scores["train"][4] = -6.0
    store_scores(index, scores, "a model")
    table = table_of(scored).to_pydict()
    assert "unusual_align_score" in table[FLAGS_COLUMN][4] and flags_in(scored)["unusual_align_score"] == 1
    scores["train"][4] = -0.3
    store_scores(ShardIndex.load(str(scored)).language("ita"), scores, "a model")
    assert flags_in(scored) == flags_in(shards) and table_of(scored)[FLAGS_COLUMN] == table_of(shards)[FLAGS_COLUMN]


@pytest.mark.parametrize("damaged", [INDEX_NAME, TABLE_NAME, "train-000000.tar"])
def test_a_damaged_language_is_named_and_the_others_are_flagged(damaged, shards, tmp_path, capsys):
    broken = shutil.copytree(shards, tmp_path / "broken")
    path = broken / "eng" / damaged
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = tree_sums(broken / "eng")
    strict = ["--threshold", "clipped=0.9", "--workers", "1"]
    assert main(["shards", "flag", str(broken), *strict]) == 1
    assert f"eng/{damaged}" in "".join(capsys.readouterr().err.split())
    assert "clipped" not in flags_in(broken) and tree_sums(broken / "eng") == before
    content = json.loads((broken / "ita" / INDEX_NAME).read_text())
    assert content["flags"]["compared_with"] == []
    assert main(["shards", "flag", str(broken), "--lang", "ita", *strict]) == 0
    assert "no texts were compared with those of eng" in " ".join(capsys.readouterr().out.split())
    assert main(["shards", "flag", str(broken), "--lang", "eng", *strict]) == 2


def test_at_a_url_an_interrupted_language_can_be_read_and_flagged_again(shards, monkeypatch):
    system, place = fsspec.filesystem("memory"), "memory://flagged"
    system.put(f"{shards}/", "/flagged/", recursive=True)
    command = ["shards", "flag", place, "--lang", "ita", "--threshold", "clipped=0.9", "--workers", "1"]
    write = remote.write_bytes

    def interrupted(url, data):
        if url.endswith(INDEX_NAME):
            raise KeyboardInterrupt
        write(url, data)

    try:
        monkeypatch.setattr(remote, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            flag_language(*opened(place), FlagOptions({"clipped": 0.9}), LanguageModels({}), pool=WorkerPool(1))
        monkeypatch.undo()
        index = opened(place)[0].language("ita")
        assert len(index.table("train")) and "clipped" in index.content["flags"]["found"]
        assert len(problems_in(place)) == 1
        assert main(command) == 0
        described = opened(place)[0].language("ita").content["flags"]["found"]
        assert "clipped" not in described and not problems_in(place)
    finally:
        system.rm("/flagged", recursive=True)


def opened(place):
    return ShardIndex.load(place, ["ita"]), "ita"


def problems_in(place):
    found = verify_shards(place, ["ita"], workers=1, advance=lambda count: None)
    return [problem for each in found for problem in each.problems]


@pytest.mark.parametrize("gain", [1, 20])
def test_a_build_says_when_nothing_is_left_in_test(gain, tmp_path, capsys):
    loud = {"audio": "loud.wav", "text": "too loud", "lang": "ron", "split": "test"}
    manifest = write_corpus(tmp_path / "corpus", utterances=6, extra=[loud])
    soundfile.write(tmp_path / "corpus" / "loud.wav", np.clip(gain * sound(1.0), -1, 1), RATE)
    options = ["--test-fraction", "0", "--drop-flagged", "clipped", "--workers", "1"]
    assert main(["shards", "build", str(manifest), str(tmp_path / "shards"), *options]) == 0
    said = "ron: nothing is left in test: 1 utterance left out by --drop-flagged; drop by fewer"
    assert (said in " ".join(capsys.readouterr().out.split())) == (gain == 20)
