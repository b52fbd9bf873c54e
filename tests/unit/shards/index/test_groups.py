"""Speakers, sources and tags are known from the sample table; a table of an earlier version says how to add them."""

import json
import shutil

import pyarrow.parquet
import pytest

from launcher.cli import main
from shards.add_columns import lacking_columns
from shards.errors import MissingColumnError
from shards.index import ShardIndex
from shards.index.groups import group_names, is_grouping
from shards.index.sample_table import LATER_COLUMNS
from shards.read import ShardReader
from shards.schema import INDEX_NAME, TABLE_NAME
from shards.verify import verify_shards
from tests.shard_samples import build, write_corpus

ACCENTS = ["north", "south", None]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    manifest = write_corpus(folder / "corpus")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["source"] = ("radio", "books")[number % 2]
        line["accent"] = ACCENTS[number % 3]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    build(manifest, folder / "shards")
    return folder / "shards"


@pytest.fixture
def old_shards(shards, tmp_path):
    """As an earlier version wrote them."""
    copy = shutil.copytree(shards, tmp_path / "old")
    table = pyarrow.parquet.read_table(copy / "ron" / TABLE_NAME)
    pyarrow.parquet.write_table(table.drop_columns(list(LATER_COLUMNS)), copy / "ron" / TABLE_NAME)
    return copy


def groups(shards, by, split="train"):
    return group_names(ShardIndex.load(str(shards)).language("ron"), split, by).tolist()


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_groups_are_those_of_the_samples_in_the_order_of_the_table(shards, split):
    index = ShardIndex.load(str(shards))
    reader = ShardReader(index)
    table = index.language("ron").table(split)
    infos = [reader.info("ron", split, row) for row in range(len(table))]
    reader.close()
    assert groups(shards, "speaker", split) == [info["speaker"] for info in infos]
    assert groups(shards, "source", split) == [info["source"] for info in infos]
    assert groups(shards, "tag:accent", split) == [info.get("tags", {}).get("accent", "") for info in infos]
    assert set(groups(shards, "tag:age", split)) == {""}


def test_an_earlier_table_is_read_and_names_the_command_for_columns(old_shards):
    assert len(groups(old_shards, "speaker")) == ShardIndex.load(str(old_shards)).language("ron").utterances("train")
    for by in ("source", "tag:accent"):
        with pytest.raises(MissingColumnError, match=r"no column .*mms-dist shards index .* --lang ron"):
            groups(old_shards, by)


def test_indexing_adds_the_columns_and_changes_nothing_else(shards, old_shards, capsys):
    assert lacking_columns(str(old_shards), "ron") == ["source", "tags"]
    assert main(["shards", "index", str(old_shards), "--dry-run"]) == 0
    assert lacking_columns(str(old_shards), "ron") == ["source", "tags"]
    assert main(["shards", "index", str(old_shards)]) == 0
    assert "ron: columns added to its sample table: source, tags" in capsys.readouterr().out
    new, made = (pyarrow.parquet.read_table(place / "ron" / TABLE_NAME) for place in (old_shards, shards))
    assert new.select(made.column_names).equals(made)
    was, now = (json.loads((place / "ron" / INDEX_NAME).read_text()) for place in (shards, old_shards))
    assert {key: value for key, value in was.items() if key != "files"} == {
        key: value for key, value in now.items() if key != "files"
    }
    (found,) = verify_shards(str(old_shards), None, workers=1, advance=lambda count: None)
    assert not found.problems
    assert main(["shards", "index", str(old_shards)]) == 0
    assert "has an index" in capsys.readouterr().out


def test_the_tables_in_memory_do_not_grow_with_the_columns(shards):
    table = ShardIndex.load(str(shards)).language("ron").table("train")
    assert not {name for name in LATER_COLUMNS if hasattr(table, name)}


@pytest.mark.parametrize(
    ("by", "is_one"), [("speaker", True), ("source", True), ("tag:age", True), ("tag:", False), ("accent", False)]
)
def test_groupings_have_names(by, is_one):
    assert is_grouping(by) is is_one
