"""Several sources become one corpus, in which each is counted and can be told apart."""

import json
import re

import pytest
import soundfile

from launcher.cli import main
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources.registry import read_source
from shards.splits import SPLITS
from tests.shard_samples import sentence, sound, tree_sums, write_corpus


def write_folder(folder, *, first, clips=4):
    """A folder of Romanian recordings with the sentences from number `first` on."""
    folder.mkdir(parents=True)
    for number in range(first, first + clips):
        soundfile.write(folder / f"clip{number % 100:03d}.wav", sound(0.6, seed=number), 16_000)
        (folder / f"clip{number % 100:03d}.txt").write_text(sentence(number, 3))


@pytest.fixture
def listed(tmp_path):
    write_corpus(tmp_path / "read", languages=("ron", "ita"), utterances=6)
    write_folder(tmp_path / "radio" / "ron", first=100)
    (tmp_path / "sources.yaml").write_text(
        "- source: read/corpus.jsonl\n  name: read-2024\n- {source: radio/ron, from: folder, lang: ro}\n"
    )
    return tmp_path / "sources.yaml"


def run(*arguments):
    return main(["shards", *map(str, arguments)])


def build(place, output, *options):
    return run("build", place, output, "--workers", 1, "--test-fraction", "0.1", *options)


def test_sources_are_counted_in_the_index_and_named_in_the_samples(listed, tmp_path, capsys):
    assert build(listed, tmp_path / "shards") == 0
    index = ShardIndex.load(str(tmp_path / "shards"))
    counted = index.language("ron").content["sources"]
    assert {name: sum(split["samples"] for split in splits.values()) for name, splits in counted.items()} == {
        "read-2024": 6,
        "ron": 4,
    }
    seconds = sum(split["seconds"] for splits in counted.values() for split in splits.values())
    assert seconds == pytest.approx(sum(index.language("ron").seconds(split) for split in SPLITS))
    assert list(index.language("ita").content["sources"]) == ["read-2024"]
    reader = ShardReader(index)
    found = [
        reader.read("ron", split, row).info["source"]
        for split in SPLITS
        for row in range(len(index.language("ron").table(split)))
    ]
    assert sorted(found) == sorted(
        [f"read-2024/ron/clip{number:03d}.wav" for number in range(6)] + [f"ron/clip{n:03d}.wav" for n in range(4)]
    )
    capsys.readouterr()
    assert run("inspect", tmp_path / "shards", "--lang", "ron") == 0
    shown = capsys.readouterr().out
    assert "Sources" in shown and "read-2024" in shown
    assert run("verify", tmp_path / "shards", "--workers", 1) == 0


def test_recordings_of_one_name_in_two_sources_are_both_kept(tmp_path):
    for part, first in (("a", 0), ("b", 300)):
        write_folder(tmp_path / part / "ron", first=first)
    (tmp_path / "two.yml").write_text("- {source: a, name: a}\n- {source: b, name: b}\n")
    assert build(tmp_path / "two.yml", tmp_path / "shards") == 0
    index = json.loads((tmp_path / "shards" / "ron" / "index.json").read_text())
    assert sum(split["samples"] for split in index["splits"].values()) == 8 and index["drops"] == {}


def test_a_list_is_found_from_any_folder_and_gives_the_same_bytes(listed, tmp_path, monkeypatch):
    assert build(listed, tmp_path / "one") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build("../sources.yaml", tmp_path / "two", "--only", "ron") == 0
    assert build("../sources.yaml", tmp_path / "two") == 0
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "two")


def test_one_source_alone_has_no_parts(listed, tmp_path):
    assert build(tmp_path / "read" / "corpus.jsonl", tmp_path / "shards") == 0
    assert "sources" not in json.loads((tmp_path / "shards" / "ron" / "index.json").read_text())


def test_an_unreadable_source_of_one_language_fails_that_language_alone(listed, tmp_path, capsys):
    listed.write_text(listed.read_text() + "- {source: empty.tsv, name: gone, lang: ita}\n")
    (tmp_path / "empty.tsv").write_text("audio\ttext\n")
    assert build(listed, tmp_path / "shards") == 1
    assert "sources.yaml:4: manifest" in capsys.readouterr().err
    assert json.loads((tmp_path / "shards" / "failed.json").read_text()).keys() == {"ita"}
    assert [path.parent.name for path in (tmp_path / "shards").glob("*/index.json")] == ["ron"]
    listed.write_text(listed.read_text().replace(", lang: ita", ""))  # whose language it is, is not known then
    assert build(listed, tmp_path / "other") == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a list of sources"),
        ("source: a", "is not a list of sources"),
        ("- {source: read", "is not YAML"),
        ("- 7", r":1: found 7, expected a source"),
        ("- source: read/corpus.jsonl\n  form: nemo", r":2: unknown key 'form' \(did you mean 'from'\?\)"),
        ("- {name: a}", ":1: the entry has no 'source'"),
        ("- {source: read/corpus.jsonl, name: a/b}", "the name 'a/b' cannot be used"),
        ("- {source: read/corpus.jsonl, name: 2024}", "name is 2024, expected text; write it in quotes"),
        ("- read/corpus.jsonl\n- read/corpus.jsonl", ":2: two sources are called 'corpus'"),
        ("- {source: read/corpus.jsonl, lang: no}", ":1: language code False, as YAML reads no, .*nob"),
        ("- {source: read/corpus.jsonl, from: folda}", ":1: --from folda: no such kind of source"),
        ("- {source: read/ron, columns: {audio: a}}", ":1: --columns is for .* is read as folder"),
        ("- {source: read/corpus.jsonl, columns: {adio: a}}", r"unknown field 'adio' \(did you mean 'audio'\?\)"),
        ("- {source: read/corpus.jsonl, columns: {audio: 1}}", "the column of audio is 1, expected text"),
        ("- {source: read/corpus.jsonl, channel: left}", ":1: 'channel' is 'left', expected the number of a channel"),
        ("- {source: nowhere}", ":1: no file or folder .*nowhere"),
        ("- {source: sources.yaml}", ":1: .*sources.yaml is a list too"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(text, message, listed, tmp_path, capsys):
    listed.write_text(text)
    assert build(listed, tmp_path / "shards") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "shards").exists()


def test_an_entry_s_channel_is_that_of_its_rows_that_name_none(listed, tmp_path):
    listed.write_text("- {source: read/corpus.jsonl, lang: ron, channel: 2}\n- {source: radio/ron, lang: ron}\n")
    assert {(row.part, row.channel) for row in read_source(listed)} == {("corpus", 2), ("ron", None)}
    assert {(row.part, row.channel) for row in read_source(listed, channel=1)} == {("corpus", 2), ("ron", 1)}


def test_only_the_chosen_languages_have_notes(listed):
    listed.write_text("- {source: read/ron, lang: ron}\n- {source: read/ita, lang: ita}\n")
    rows = read_source(listed)
    assert [note.partition(":")[0] for note in rows.notes if "is read as" in note] == ["ron", "ita"]
    assert [note.partition(":")[0] for note in rows.of_languages(["ron"]).notes if "is read as" in note] == ["ron"]


def test_bad_rows_are_named_with_the_file_they_are_in(listed, tmp_path, capsys):
    manifest = tmp_path / "read" / "corpus.jsonl"
    manifest.write_text(manifest.read_text() + '{"audio": "x.wav", "text": 7, "lang": "ron"}\n')
    assert build(listed, tmp_path / "shards") == 2
    assert "corpus.jsonl:13: 'text' is 7" in capsys.readouterr().err
    assert build(listed, tmp_path / "shards", "--skip-bad-rows") == 0
    assert "skipped as" not in capsys.readouterr().out
