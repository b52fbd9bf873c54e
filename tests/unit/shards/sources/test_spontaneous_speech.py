"""Common Voice's spontaneous speech becomes shards with its splits and tags, and with transcripts as written."""

from dataclasses import replace

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.common_voice import write_spontaneous, write_tar
from tests.layouts.utterances import Spoken, build_stored, summary, utterances
from tests.shard_samples import sentence, tree_sums


def expected(spoken):
    return sorted((one.language, one.split, one.text, one.speaker * 16) for one in spoken)


def test_a_language_becomes_shards_with_its_splits_and_tags(tmp_path, capsys):
    spoken = utterances()
    folder = write_spontaneous(tmp_path / "sps-corpus-1.0-2025-09-05-ro", spoken)
    found = build_stored(folder, tmp_path / "shards")
    assert capsys.readouterr().out.startswith("source: spontaneous-speech (recognised")
    assert summary(found) == expected(spoken)
    assert [one.tags.get("quality") for one in found if one.source == "spontaneous-speech-ro-0.mp3"] == ["short"]
    assert {one.tags["votes"] for one in found} == {"2"}


def test_the_downloaded_tar_gives_the_bytes_of_the_unpacked_folder(tmp_path):
    folder = write_spontaneous(tmp_path / "sps", utterances())
    archive = write_tar(tmp_path / "sps.tar.gz", folder, "sps-corpus-1.0-2025-09-05-ro")
    build_stored(folder, tmp_path / "one")
    build_stored(archive, tmp_path / "two")
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "two")


def test_clips_without_a_validated_transcript_are_counted_or_all_used(tmp_path, capsys):
    more = [Spoken(f"x{n}", sentence(n, 3) if n % 2 else "", "s9", "male", "", "ron", n) for n in range(20, 26)]
    folder = write_spontaneous(tmp_path / "sps", [*utterances(), *more])
    rows = read_source(folder)
    assert [row.text is None for row in rows] == [False] * 10 + [True] * 3
    assert [(item.drop.reason, item.line) for item in rows.left_out] == [("unassigned", n) for n in (13, 15, 17)]
    assert rows.without_split() == {}  # what is not transcribed is left out, not assigned
    capsys.readouterr()
    assert len(build_stored(folder, tmp_path / "validated")) == 10
    assert "skipped as unassigned: 3 lines of ss-corpus-ro.tsv (13, 15, 17)" in capsys.readouterr().out
    found = build_stored(folder, tmp_path / "all", "--split-from", "all")
    assert len(found) == 13
    assert len({one.split for one in found if one.speaker == "s9" * 16}) == 1
    with pytest.raises(SourceError, match="expected all for spontaneous speech"):
        read_source(folder, split_from="validated")


def test_a_language_without_validated_clips_says_how_to_use_them(tmp_path):
    pending = [replace(one, split="") for one in utterances()]
    folder = write_spontaneous(tmp_path / "sps", pending)
    with pytest.raises(SourceError, match=r"none of the 10 transcribed clips is in a split.*--split-from all"):
        read_source(folder)
    assert len(read_source(folder, split_from="all")) == 10


def test_transcripts_keep_their_tags_for_the_rules_of_text(tmp_path, capsys):
    spoken = utterances()
    spoken[0] = replace(spoken[0], text="am [noise] mâncat [disfluency] pâine")
    folder = write_spontaneous(tmp_path / "sps", spoken)
    assert next(iter(read_source(folder))).text == spoken[0].text
    assert len(build_stored(folder, tmp_path / "dropped")) == 9
    assert "--markup remove" in capsys.readouterr().out
    assert len(build_stored(folder, tmp_path / "used", "--markup", "remove")) == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\ttrain\t", "\tfirst\t", r"ss-corpus-ro.tsv:2: split 'first' is unknown"),
        ("\ttrain\t", "\t", r"ss-corpus-ro.tsv:2: 15 tab-separated fields, the header has 16"),
        ("transcription", "text", r"ss-corpus-ro.tsv:1: no column 'transcription'; found client_id"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(old, new, message, tmp_path):
    folder = write_spontaneous(tmp_path / "sps", utterances())
    table = folder / "ss-corpus-ro.tsv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(SourceError, match=message):
        read_source(folder)
    if "header has" in message:
        rows = read_source(folder, skip_bad_rows=True)
        assert (len(rows), [item.line for item in rows.left_out]) == (9, [2])
