"""An index that is not what reading takes is refused with its file, what was found, and the fix."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from launcher.cli import main
from shards.errors import IndexFileError, TruncatedShardError
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.shard_samples import build, write_corpus


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(write_corpus(folder / "corpus", utterances=8), folder / "shards")
    return {path.name: path.read_bytes() for path in (folder / "shards" / "ron").iterdir()}


@pytest.fixture
def shards(built, tmp_path):
    (tmp_path / "ron").mkdir()
    for name, content in built.items():
        (tmp_path / "ron" / name).write_bytes(content)
    return tmp_path


def refusal(shards):
    """What loading the index and all that belongs to it says."""
    with pytest.raises(IndexFileError) as refused:
        language = ShardIndex.load(str(shards)).language("ron")
        language.table("train")
        assert language.vocabulary
    return str(refused.value)


def without(name):
    def change(content):
        del content[name]

    return change


def setting(value, *where):
    def change(content):
        for name in where[:-1]:
            content = content[name]
        content[where[-1]] = value

    return change


SHARD = ("splits", "train", "shards", 0)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (setting({"read": 1}, "sources"), "sources.read is 1, expected an object"),
        (setting({"read": {"dev": {"samples": "1"}}}, "sources"), 'sources.read.dev.samples is "1", expected a whole'),
        (setting({"read": {"dev": {"samples": 1}}}, "sources"), "sources.read.dev.seconds is nothing, expected a num"),
        (without("splits"), "splits is nothing, expected an object"),
        (setting([], "splits"), "splits is a list, expected an object"),
        (setting({}, "splits", "validation"), 'splits is "validation", expected train or dev or test'),
        (setting(None, "splits", "train", "shards"), "splits.train.shards is nothing, expected a list"),
        (setting("x", *SHARD), r"splits.train.shards[0] is"),
        (setting(3, *SHARD, "name"), "name is 3, expected the name of a tar"),
        (setting("a\0b", *SHARD, "name"), "expected the name of a tar"),
        (setting("\udce9", *SHARD, "name"), "expected the name of a tar in UTF-8"),
        (setting("5", *SHARD, "samples"), 'samples is "5", expected a whole number'),
        (setting(-1, *SHARD, "bytes"), "bytes is -1, expected a whole number"),
        (setting(True, *SHARD, "bytes"), "bytes is true, expected a whole number"),
        (setting(-0.5, *SHARD, "seconds"), "seconds is -0.5, expected seconds"),
        (setting(float("nan"), *SHARD, "seconds"), "found NaN, expected a finite number"),
        (setting("abc", *SHARD, "sha256"), "expected 64 hexadecimal digits"),
        (setting("ita", "language"), "language is \"ita\", expected 'ron'"),
        (setting(8000, "sample_rate"), "sample_rate is 8000, expected 16000"),
        (setting(7, "schema_version"), "has schema version 7, expected 1"),
        (without("schema_version"), "is not a shard index (no entry 'schema_version')"),
        (setting({"empty": 3}, "drops"), "drops.empty is 3, expected count and examples"),
        (setting("many", "speakers"), 'speakers is "many", expected a whole number'),
        (setting({"samples.parquet": 3}, "files"), "files.samples.parquet is 3, expected bytes and sha256"),
        (setting({"normalise": 1}, "reading"), "reading.normalise is 1, expected true or false"),
        (setting({"normalise": True, "text_fields": "x"}, "reading"), 'reading.text_fields is "x", expected names'),
        (
            setting({"normalise": True, "text_field": "x", "text_rules": {"capitals": 1}}, "reading"),
            "reading.text_rules are not valid in this version",
        ),
        (
            setting({"normalise": True, "text_field": "x", "text_rules": {"apostrophes": "x"}}, "reading"),
            "reading.text_rules are not valid in this version",
        ),
    ],
)
def test_an_entry_that_is_not_what_it_must_be_is_named(change, found, shards):
    path = shards / "ron" / "index.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    message = refusal(shards)
    assert str(path) in message and found in message and "--lang ron --force" in message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", "is not a shard index"),
        (b"\xff\xfe\xfa", "is not a shard index"),
        (b"[]", "is not a shard index"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"schema_version": 1, "splits": {}, "splits": {}}', "'splits' is given twice"),
        (b'{"schema_version": ' + b"1" * 5000 + b"}", "is not a shard index"),
    ],
)
def test_an_index_that_is_no_json_object_is_refused(text, found, shards):
    (shards / "ron" / "index.json").write_bytes(text)
    message = refusal(shards)
    assert str(shards / "ron" / "index.json") in message and found in message and "--lang ron --force" in message


def column(name, kind, change):
    """A table with one column of a type and with the values that `change` makes of the old."""

    def damage(table):
        values = change(table.column(name).to_pylist())
        return table.set_column(table.column_names.index(name), name, pyarrow.array(values, kind))

    return damage


def first(value):
    return lambda values: [value, *values[1:]]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda table: table.drop_columns(["offset"]), "expected offset once"),
        (lambda table: table.append_column("size", table.column("size")), "expected size once"),
        (lambda table: table.select(["key"]), "found the columns key; expected split once"),
        (
            column("offset", pyarrow.string(), lambda values: list(map(str, values))),
            "offset contains string, expected whole",
        ),
        (column("samples", pyarrow.float64(), lambda values: values), "samples contains double, expected whole"),
        (column("key", pyarrow.int64(), lambda values: range(len(values))), "key contains int64, expected strings"),
        (column("size", pyarrow.int64(), first(None)), "size has rows without a value"),
        (column("shard", pyarrow.int64(), first(2**40)), "cannot be read"),
        (column("shard", pyarrow.int32(), first(-1)), "row 0 of train is in a shard that the index does not have"),
        (column("shard", pyarrow.int32(), first(99)), "row 0 of train is in a shard that the index does not have"),
        (column("offset", pyarrow.int64(), first(-512)), "row 0 of train is not within its shard"),
        (column("offset", pyarrow.int64(), first(2**62)), "row 0 of train is not within its shard"),
        (column("size", pyarrow.int64(), first(2**62)), "row 0 of train is not within its shard"),
        (column("size", pyarrow.int64(), first(0)), "row 0 of train is not within its shard"),
        (column("samples", pyarrow.int32(), first(-5)), "row 0 of train has frames that do not match its samples"),
        (column("frames", pyarrow.int32(), first(9999)), "row 0 of train has frames that do not match its samples"),
        (column("frames", pyarrow.int32(), first(1)), "row 0 of train has frames that do not match its samples"),
        (column("required_frames", pyarrow.int32(), first(1)), "row 0 of train has required_frames below label_length"),
        (column("label_length", pyarrow.int32(), first(-1)), "row 0 of train has required_frames below label_length"),
        (column("split", pyarrow.string(), first("other")), "train utterances, but index.json says"),
        (lambda table: pyarrow.concat_tables([table, table.slice(0, 1)]), "train utterances, but index.json says"),
        (lambda table: table.slice(0, 0), "train utterances, but index.json says"),
    ],
)
def test_a_sample_table_with_a_wrong_column_or_row_is_refused(damage, found, shards):
    path = shards / "ron" / "samples.parquet"
    pyarrow.parquet.write_table(damage(pyarrow.parquet.read_table(path)), path)
    message = refusal(shards)
    assert str(path) in message and found in message and "--lang ron --force" in message


def test_rows_of_another_split_or_shard_than_the_index_says_are_refused(shards):
    path = shards / "ron" / "samples.parquet"
    table = pyarrow.parquet.read_table(path)
    more = table.slice(0, 1).set_column(1, "split", pyarrow.array(["validation"]))
    pyarrow.parquet.write_table(pyarrow.concat_tables([table, more]), path)
    assert "has rows of splits other than train, dev, test" in refusal(shards)
    content = json.loads((shards / "ron" / "index.json").read_bytes())
    one, *_ = content["splits"]["train"]["shards"]
    one["seconds"] += 1
    (shards / "ron" / "index.json").write_text(json.dumps(content))
    pyarrow.parquet.write_table(table, path)
    assert f"in {one['name']}, but the index says {one['samples']}, {one['seconds']:.3f} s" in refusal(shards)


@pytest.mark.parametrize("length", [0, 3, 100, -10])
def test_a_sample_table_that_is_cut_short_is_refused(length, shards):
    path = shards / "ron" / "samples.parquet"
    path.write_bytes(path.read_bytes()[:length])
    assert f"sample table {path} cannot be read" in refusal(shards)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"ron": 3}',
        b'{"ita": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 5}}',
        b'{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": "5"}}',
        b'{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 5.0}}',
        b'{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 7}}',
        b'{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "": 5}}',
        b'{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "\\ud800": 5}}',
        b'{"ron": {"a": 0, "b": 1}}',
    ],
)
def test_a_vocabulary_that_is_none_of_this_language_is_refused(content, shards):
    path = shards / "ron" / "vocab.json"
    path.write_bytes(content)
    message = refusal(shards)
    assert str(path) in message and "--lang ron --force" in message


def test_what_an_earlier_or_later_version_leaves_out_or_adds_is_no_fault(shards, capsys):
    path = shards / "ron" / "index.json"
    content = json.loads(path.read_bytes())
    for name in ("drops", "speakers", "files", "build", "vocabulary", "characters_not_in_train", "sample_rate"):
        content.pop(name, None)
    content["later"] = content["splits"]["train"]["shards"][0]["later"] = {"x": 1}
    path.write_text(json.dumps(content))
    assert main(["shards", "inspect", str(shards)]) == 0
    content["drops"] = {"a_reason_of_later": {"count": 2, "examples": []}}
    path.write_text(json.dumps(content))
    assert main(["shards", "inspect", str(shards)]) == 0
    assert "a_reason_of_later: a reason from a later version of mms-dist" in capsys.readouterr().out


def test_columns_have_the_types_of_the_reader_however_they_were_written(shards):
    path = shards / "ron" / "samples.parquet"
    table = pyarrow.parquet.read_table(path)
    wide = table.set_column(2, "shard", table.column("shard").cast(pyarrow.int64()))
    pyarrow.parquet.write_table(wide, path)
    assert ShardIndex.load(str(shards)).language("ron").table("train").shard.dtype == np.int32


@pytest.mark.parametrize("name", ["index.json", "samples.parquet", "vocab.json", "train-000000.tar"])
def test_a_pointer_in_a_files_place_is_named_with_what_fetches_it(name, shards, capsys):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    (shards / "ron" / name).write_text(pointer)
    folder = f"{shards}/ron"
    words = [f"{folder}/{name}", "is a Git LFS pointer to a file of 12,345 bytes", f"`git lfs pull` in {folder}"]
    assert main(["shards", "verify", str(shards), "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert all(word in told for word in words), told
    if name.endswith(".tar"):
        reader = ShardReader(ShardIndex.load(str(shards)))
        with pytest.raises(TruncatedShardError, match="git lfs pull"):
            reader.read("ron", "train", 0)
    else:
        assert all(word in refusal(shards) for word in words)


@pytest.mark.parametrize("content", ["version https://git-lfs.github.com/spec/v1\nsize 5\n", "<!DOCTYPE html>\n"])
def test_a_pointer_or_page_in_place_of_a_text_file_is_named(content, tmp_path, capsys):
    for name in ("a.jsonl", "a.tsv", "rules.yaml"):
        (tmp_path / name).write_text(content)
    manifest = write_corpus(tmp_path / "corpus", utterances=2)
    for command in (
        *(["shards", "build", str(tmp_path / name), str(tmp_path / "out")] for name in ("a.jsonl", "a.tsv")),
        ["shards", "build", str(manifest), str(tmp_path / "out"), "--text-rules", str(tmp_path / "rules.yaml")],
        ["train", "--config", str(tmp_path / "rules.yaml")],
        ["plan", "--config", "configs/train/mms-300m.yaml", "--hours", str(tmp_path / "a.tsv")],
    ):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert ("is a Git LFS pointer" in told) is ("git-lfs" in content), told
        assert ("is a web page" in told) is ("html" in content), told
