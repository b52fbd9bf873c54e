"""A source is recognised or named, and the example of the documentation is one."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.cli import main
from shards.errors import SourceError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources import registry
from shards.sources.registry import SOURCES, read_source, source_named
from tests.shard_samples import tree_sums, write_corpus


def test_every_kind_of_source_has_a_name_of_its_own():
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        assert source_named(source.name) is source


def test_every_kind_of_source_has_a_line_in_the_documentation():
    documented = (Path(__file__).parents[4] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [source.name for source in SOURCES if f"\n| `{source.name}` |" not in documented] == []


def test_a_source_is_recognised_and_said_and_from_overrules(tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)
    renamed = manifest.rename(tmp_path / "corpus" / "corpus.list")
    assert main(["shards", "build", str(renamed), str(tmp_path / "out"), "--dry-run"]) == 2
    assert "corpus.list is of no known kind, expected one of " in capsys.readouterr().err
    assert main(["shards", "build", str(renamed), str(tmp_path / "out"), "--dry-run", "--from", "manifest"]) == 0
    assert capsys.readouterr().out.startswith("source: manifest\n")
    renamed.rename(manifest)
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("source: manifest (recognised; --from overrules)\n")


def test_an_unknown_kind_of_source_lists_the_known_ones(tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--from", "foldr"]) == 2
    error = capsys.readouterr().err
    assert "--from foldr: no such kind of source (did you mean 'folder'?); use one of:\n" in error
    assert all(f"\n  {source.name}: {source.expected}\n" in error for source in SOURCES)
    with pytest.raises(SourceError, match="no folder"):
        read_source(manifest, kind="folder")


def test_tags_are_stored_with_the_sample_and_change_only_their_shards(tmp_path, monkeypatch):
    class Tagged(registry.Manifest):
        def read(self, place, options):
            for row in super().read(place, options):
                yield replace(row, tags={"accent": "moldovan"})

    manifest = write_corpus(tmp_path / "corpus", utterances=6)
    build = ["shards", "build", str(manifest), "--workers", "1"]
    assert main([*build, str(tmp_path / "plain")]) == 0
    monkeypatch.setattr(registry, "SOURCES", [Tagged()])
    assert main([*build, str(tmp_path / "tagged")]) == 0
    reader = ShardReader(ShardIndex.load(str(tmp_path / "tagged")))
    assert reader.read("ron", "train", 0).info["tags"] == {"accent": "moldovan"}
    assert main([*build, str(tmp_path / "plain")]) == 0  # tags are part of what was built
    assert tree_sums(tmp_path / "plain") == tree_sums(tmp_path / "tagged")
