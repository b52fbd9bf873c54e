"""Corpora laid out like LJSpeech become shards, whatever their languages, speakers and recordings."""

import unicodedata
from dataclasses import replace

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.books import write_ljspeech
from tests.layouts.common_voice import write_tar
from tests.layouts.utterances import Spoken, build_stored, utterances
from tests.shard_samples import sentence, tree_sums


def texts(found):
    return sorted(one.text for one in found)


@pytest.mark.parametrize("options", [{}, {"normalised": False}, {"kind": "FLAC"}])
def test_a_speaker_s_folder_becomes_shards_of_the_normalised_text(options, tmp_path, capsys):
    spoken = utterances(train=10)
    folder = write_ljspeech(tmp_path / "LJSpeech-1.1", spoken, **options)
    found = build_stored(folder, tmp_path / "shards", "--lang", "ron")
    assert capsys.readouterr().out.startswith("source: ljspeech (recognised")
    assert texts(found) == texts(spoken)
    assert {one.speaker for one in found} == {None}
    build_stored(folder / "metadata.csv", tmp_path / "again", "--lang", "ron")
    assert tree_sums(tmp_path / "again") == tree_sums(tmp_path / "shards")


def test_the_downloaded_tar_gives_the_bytes_of_the_unpacked_folder(tmp_path):
    folder = write_ljspeech(tmp_path / "LJSpeech-1.1", utterances())
    archive = write_tar(tmp_path / "LJSpeech-1.1.tar.bz2", folder, "LJSpeech-1.1", "w:bz2")
    for number, place in enumerate((folder, archive)):
        build_stored(place, tmp_path / f"shards-{number}", "--lang", "ron")
    assert tree_sums(tmp_path / "shards-0") == tree_sums(tmp_path / "shards-1")


def test_names_in_a_tar_are_found_in_either_unicode_form(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "pâine") for form in ("NFC", "NFD"))
    spoken = [replace(one, key=f"{decomposed}-{one.number}") for one in utterances()]
    folder = write_ljspeech(tmp_path / "lj", spoken)
    table = folder / "metadata.csv"
    table.write_text(table.read_text().replace(decomposed, composed))
    for place in (folder, write_tar(tmp_path / "lj.tar.gz", folder, "lj")):
        rows = list(read_source(place, language="ron"))
        assert [row.audio.check().missing for row in rows] == [None] * 10
        assert rows[0].name == f"{composed}-0.wav"


def test_several_folders_are_speakers_or_languages(tmp_path):
    for name in ("maria", "ioana"):
        spoken = [Spoken(f"{n}", sentence(n + (name == "maria") * 10, 3), "", "", "", "ron", n) for n in range(4)]
        write_ljspeech(tmp_path / "one" / name, spoken)
    rows = list(read_source(tmp_path / "one", language="ron"))
    assert [row.speaker for row in rows] == ["ioana"] * 4 + ["maria"] * 4
    assert len({row.name for row in rows}) == 8
    with pytest.raises(SourceError, match=r"one/ioana: .*; give it with --lang"):
        read_source(tmp_path / "one")
    for name in ("ro", "cy"):
        write_ljspeech(tmp_path / "two" / name, utterances())
    assert {(row.language, row.speaker) for row in read_source(tmp_path / "two")} == {("cym", None), ("ron", None)}


def test_a_folder_named_after_a_kind_of_file_is_no_language(tmp_path):
    for folder in (tmp_path / "wav", tmp_path / "books" / "wav"):
        write_ljspeech(folder, utterances())
        with pytest.raises(
            SourceError, match="folder 'wav' is named after a kind of file; pass the language with --lang"
        ):
            read_source(tmp_path / folder.relative_to(tmp_path).parts[0])
        assert {row.language for row in read_source(folder, language="wav")} == {"wav"}


def test_a_text_keeps_its_quotes_and_an_empty_normalised_one_is_not_used(tmp_path):
    folder = write_ljspeech(tmp_path / "lj", utterances())
    table = folder / "metadata.csv"
    table.write_text('ron-000|"Da", zise|\nron-001|5 "Nu"|cinci "Nu"\n')
    assert [row.text for row in read_source(folder, language="ron")] == ['"Da", zise', 'cinci "Nu"']


def test_a_damaged_line_is_named_and_may_be_skipped(tmp_path):
    folder = write_ljspeech(tmp_path / "lj", utterances())
    with open(folder / "metadata.csv", "ab") as file:
        file.write(b"x\n\ny|a|\xff\n")
    with pytest.raises(SourceError, match=r"metadata.csv:11: 1 fields between bars, expected id.text.normalised"):
        read_source(folder, language="ron")
    rows = read_source(folder, language="ron", skip_bad_rows=True)
    assert (len(rows), [item.line for item in rows.left_out]) == (10, [11, 13])


def test_a_fourth_field_is_the_speaker(tmp_path):
    folder = write_ljspeech(tmp_path / "lj", utterances())
    (folder / "metadata.csv").write_text("ron-000|5 mere|cinci mere|ana\nron-001|nu||dan\nron-002|da|da|\n")
    rows = read_source(folder, language="ron")
    assert rows.kind == "ljspeech"
    assert [(row.text, row.speaker) for row in rows] == [("cinci mere", "ana"), ("nu", "dan"), ("da", None)]
