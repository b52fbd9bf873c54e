"""MLS becomes shards with its splits, speakers and their genders, from folders and tars."""

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.books import write_mls
from tests.layouts.common_voice import write_tar
from tests.layouts.utterances import build_stored, utterances
from tests.shard_samples import tree_sums


@pytest.mark.parametrize(("name", "kind"), [("mls_polish", "FLAC"), ("mls_polish_opus", "OPUS")])
def test_a_language_becomes_shards_with_its_splits_and_speakers(name, kind, tmp_path, capsys):
    spoken = utterances(language="pol")
    found = build_stored(write_mls(tmp_path / name, spoken, kind=kind), tmp_path / "shards")
    assert capsys.readouterr().out.startswith("source: mls (recognised")
    assert sorted((one.language, one.split, one.text) for one in found) == sorted(
        (one.language, one.split, one.text) for one in spoken
    )
    genders = {one.text: one.gender for one in spoken}
    assert all(one.tags == {"gender": genders[one.text]} for one in found)
    assert len({one.speaker for one in found}) == 3


def test_the_downloaded_tar_gives_the_bytes_of_the_unpacked_folder(tmp_path):
    folder = write_mls(tmp_path / "mls_polish", utterances(language="pol"))
    archive = write_tar(tmp_path / "mls_polish.tar.gz", folder, "mls_polish")
    for number, place in enumerate((folder, archive)):
        build_stored(place, tmp_path / f"shards-{number}")
    assert tree_sums(tmp_path / "shards-0") == tree_sums(tmp_path / "shards-1")


def test_a_damaged_line_is_named_and_may_be_skipped(tmp_path):
    folder = write_mls(tmp_path / "mls_polish", utterances())
    with open(folder / "dev" / "transcripts.txt", "a") as file:
        file.write("100_77_000099 no tab\n100\tno ids\n")
    with pytest.raises(SourceError, match=r"dev/transcripts.txt:3: expected SPEAKER_BOOK_NUMBER, a tab and the text"):
        read_source(folder)
    rows = read_source(folder, skip_bad_rows=True)
    assert (len(rows), [item.line for item in rows.left_out]) == (10, [3, 4])
    assert {item.language for item in rows.left_out} == {"pol"}
