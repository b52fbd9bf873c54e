"""VoxPopuli becomes shards with splits, speakers and genders, from folders of years and tars of the Hub."""

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.books import write_voxpopuli
from tests.layouts.utterances import build_stored, summary, utterances
from tests.shard_samples import tree_sums


def test_languages_become_shards_with_their_splits_and_speakers(tmp_path, capsys):
    spoken = {"ro": utterances(), "hu": utterances(language="hun")}
    for code, its in spoken.items():
        write_voxpopuli(tmp_path / "transcribed_data" / code, its)
    found = build_stored(tmp_path, tmp_path / "shards")
    assert capsys.readouterr().out.startswith("source: voxpopuli (recognised")
    assert summary(found) == summary(spoken["ro"] + spoken["hu"])
    assert {tuple(one.tags.items()) for one in found} == {(("gender", "male"),), (("gender", "female"),)}


def test_the_tars_of_the_hub_give_the_bytes_of_the_folders(tmp_path):
    places = [write_voxpopuli(tmp_path / "one" / "ro", utterances())]
    places.append(write_voxpopuli(tmp_path / "two" / "ro", utterances(), tars=True))
    for number, place in enumerate(places):
        build_stored(place, tmp_path / f"shards-{number}")
    assert tree_sums(tmp_path / "shards-0") == tree_sums(tmp_path / "shards-1")


def test_a_damaged_line_is_named_and_may_be_skipped(tmp_path):
    folder = write_voxpopuli(tmp_path / "ro", utterances())
    with open(folder / "asr_dev.tsv", "a") as file:
        file.write("20120613\tun\tun\n")
    with pytest.raises(SourceError, match=r"asr_dev.tsv:4: 3 tab-separated fields, the header has 8"):
        read_source(folder)
    rows = read_source(folder, skip_bad_rows=True)
    assert (len(rows), [item.line for item in rows.left_out]) == (10, [4])
    (folder / "asr_dev.tsv").write_text("id\ttext\n")
    with pytest.raises(SourceError, match=r"asr_dev.tsv:1: no column 'normalized_text'; found id, text"):
        read_source(folder)
