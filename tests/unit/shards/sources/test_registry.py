"""A source is recognised or named, and the example of the documentation is one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from launcher.cli import main
from shards.errors import SourceError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources import registry
from shards.sources.registry import SOURCES, read_source, source_named
from tests.shard_samples import sentence, sound, tree_sums, write_corpus

PAGE = Path(__file__).parents[4] / "docs" / "extending-source.part.md"


def test_every_kind_of_source_has_a_name_of_its_own():
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        assert source_named(source.name) is source


def test_a_source_is_recognised_and_said_and_from_overrules(tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)
    renamed = manifest.rename(tmp_path / "corpus" / "corpus.list")
    assert main(["shards", "build", str(renamed), str(tmp_path / "out"), "--dry-run"]) == 2
    assert "expected a manifest with a name ending in .tsv or .jsonl, or a folder" in capsys.readouterr().err
    assert main(["shards", "build", str(renamed), str(tmp_path / "out"), "--dry-run", "--from", "manifest"]) == 0
    assert capsys.readouterr().out.startswith("source: manifest\n")
    renamed.rename(manifest)
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("source: manifest (recognised; --from overrules)\n")


def test_an_unknown_kind_of_source_lists_the_known_ones(tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--from", "foldr"]) == 2
    error = capsys.readouterr().err
    assert "--from foldr: no such kind of source (did you mean 'folder'?); use one of folder, manifest" in error
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


def test_the_example_of_the_documentation_builds_a_corpus(tmp_path, monkeypatch):
    example, check = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = {}
    exec(compile(example, str(PAGE), "exec"), code)
    (registration,) = re.findall(r"SOURCES: list\[Source\] = (\[.*\])", PAGE.read_text(encoding="utf-8"))
    monkeypatch.setattr(registry, "SOURCES", eval(registration, vars(registry) | code))
    folder = tmp_path / "LJ"
    (folder / "wavs").mkdir(parents=True)
    for number, name in enumerate("ab"):
        soundfile.write(folder / "wavs" / f"{name}.wav", sound(1, seed=number), 16_000)
    (folder / "metadata.csv").write_text("a|5 dogs|five dogs\nb|1 cat|one cat\n")
    exec(check, {"read_source": read_source, "folder": folder})

    for number in range(2, 12):
        soundfile.write(folder / "wavs" / f"c{number}.wav", sound(1, seed=number), 16_000)
    lines = [f"c{number}|{number}|{sentence(number)}\n" for number in range(2, 12)]
    (folder / "metadata.csv").write_text("".join(lines) + "only one field\n")
    build = ["shards", "build", str(folder), str(tmp_path / "out"), "--lang", "eng", "--workers", "1"]
    assert main(build) == 2
    assert main([*build, "--skip-bad-rows"]) == 0
    index = json.loads((tmp_path / "out" / "eng" / "index.json").read_text())
    assert sum(entry["samples"] for entry in index["splits"].values()) == 10
    assert index["drops"]["row_fields"]["examples"] == ["metadata.csv:11: 1 field, expected id|text"]
