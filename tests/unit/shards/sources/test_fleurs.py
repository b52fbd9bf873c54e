"""FLEURS becomes shards, from its folders, from the tars on the Hub and from a language's tar."""

from dataclasses import replace

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.common_voice import write_tar
from tests.layouts.fleurs import write_fleurs
from tests.layouts.utterances import build_stored, summary, utterances
from tests.shard_samples import tree_sums


def without_speakers(spoken):
    return sorted((one.language, one.split, one.text, "") for one in spoken)


def test_languages_become_shards_with_their_splits_and_genders(tmp_path, capsys):
    spoken = [utterances(language=language) for language in ("ron", "cym")]
    for code, its in zip(("ro_ro", "cy_gb"), spoken, strict=True):
        write_fleurs(tmp_path / "data" / code, its)
    found = build_stored(tmp_path, tmp_path / "shards")
    assert capsys.readouterr().out.startswith("source: fleurs (recognised")
    assert summary(found) == without_speakers(spoken[0] + spoken[1])
    assert {one.tags["gender"] for one in found} == {"male", "female"}


def test_tars_of_splits_and_of_a_language_give_the_bytes_of_folders(tmp_path, capsys):
    spoken = utterances()
    folder = write_fleurs(tmp_path / "one" / "ro_ro", spoken)
    places = [folder, write_fleurs(tmp_path / "two" / "ro_ro", spoken, tars=True)]
    places.append(write_tar(tmp_path / "ro_ro.tar.gz", folder, "ro_ro"))
    for number, place in enumerate(places):
        build_stored(place, tmp_path / f"shards-{number}")
        assert ("copies those of one language" in capsys.readouterr().out) == (number > 0)
    assert tree_sums(tmp_path / "shards-0") == tree_sums(tmp_path / "shards-1") == tree_sums(tmp_path / "shards-2")


def test_one_sentence_read_by_several_is_in_one_split_with_all_readings(tmp_path):
    spoken = utterances()
    spoken[1:3] = [replace(one, text=spoken[0].text) for one in spoken[1:3]]
    found = build_stored(write_fleurs(tmp_path / "ro_ro", spoken), tmp_path / "shards")
    assert [one.split for one in found if one.text == spoken[0].text] == ["train"] * 3
    assert len(found) == len(spoken)


def test_the_raw_text_is_used_where_asked(tmp_path):
    folder = write_fleurs(tmp_path / "ro_ro", utterances())
    rows = list(read_source(folder, columns={"text": "raw_transcription"}))
    assert rows[0].text == '"Alpha alpha alpha".'
    assert next(iter(read_source(folder))).text == "alpha alpha alpha"
    with pytest.raises(SourceError, match="choice of texts alone; --columns text=transcription or"):
        read_source(folder, columns={"text": "words"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7\tx.wav\tA\ta\ta |\t8000", "train.tsv:7: 6 tab-separated fields, expected id, file_name, raw_transcription"),
        ("7\tx.wav\tA\ta\ta |\tlong\tMALE", "train.tsv:7: no id or no samples"),
        ("7\thttp://x/x.wav\tA\ta\ta |\t8000\tMALE", "train.tsv:7: 'file_name' is a URL"),
    ],
)
def test_a_damaged_line_is_named_and_may_be_skipped(line, message, tmp_path):
    folder = write_fleurs(tmp_path / "ro_ro", utterances())
    with open(folder / "train.tsv", "a") as file:
        file.write(line + "\n")
    with pytest.raises(SourceError, match=message):
        read_source(folder)
    rows = read_source(folder, skip_bad_rows=True)
    assert (len(rows), [item.line for item in rows.left_out]) == (10, [7])
