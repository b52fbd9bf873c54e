"""A source is recognised or named, and the example of the documentation is one."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.cli import main
from shards.errors import SourceError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources import registry
from shards.sources.registry import SOURCES, read_source, source_named
from shards.sources.source_place import SourcePlace
from tests.layouts.common_voice import write_common_voice
from tests.layouts.utterances import utterances
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


def odd_places(folder):
    """Places that are no source, or none that can be read."""
    (folder / "empty").mkdir()
    (folder / "file").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "file" / "loop").symlink_to("loop")
    (folder / "gone.tar.gz").symlink_to("nowhere")
    contents = {
        "empty.tar.gz": b"",
        "zeros.tar": bytes(20_000),
        "noise.tar.gz": bytes(range(256)) * 100,
        "cut.tar.gz": gzip.compress(b"x" * 100_000)[:60],
        "page.tar.gz": b"<!DOCTYPE html><html></html>",
        "file/metadata.csv": b"\0|" * 300,
        "file/train.tsv": b"\xff\xfe\t" * 7,
        "file/transcripts.txt": b"",
        "metadata.csv": b"a" * 300 + b"|b|c\n",
        "train.tsv": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
    return [*names, "nowhere", "x" * 300, "x" * 300 + ".tar.gz", "a/b/c", "."]


def test_no_source_fails_to_look_at_any_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in odd_places(tmp_path):
        for source in SOURCES:
            assert source.recognises(SourcePlace(name)) in (True, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.tar.gz", r"page.tar.gz is a web page, not the file itself; the server sent a login"),
        ("empty.tar.gz", r"empty.tar.gz is empty \(0 bytes\); its copy or download was interrupted"),
        ("noise.tar.gz", r"noise.tar.gz is of no known kind.*unpack it and name its folder, or name its kind"),
    ],
)
def test_a_file_that_is_no_source_says_what_it_is(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd_places(tmp_path)
    with pytest.raises(SourceError, match=message):
        read_source(name)


def test_a_source_without_any_utterance_is_an_error_with_the_first_reason(tmp_path, capsys):
    write_common_voice(tmp_path / "cv" / "sr", utterances(), locale="sr")
    write_common_voice(tmp_path / "cv" / "sh", utterances(), locale="sh")
    command = ["shards", "build", str(tmp_path / "cv"), str(tmp_path / "out"), "--skip-bad-rows", "--dry-run"]
    assert main(command) == 2
    assert "cv has no utterances, only what is left out, the first: " in capsys.readouterr().err
