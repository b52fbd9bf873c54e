"""Parquet files with recordings become shards, and only a few recordings are in memory at a time."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launcher.cli import main
from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.hugging_face import dataset, write_omnilingual, write_parquet
from tests.layouts.utterances import build_stored, stored, summary, utterances
from tests.shard_samples import tree_sums

SPOKEN = utterances()


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_the_splits_of_a_dataset_become_shards(kind, tmp_path):
    write_parquet(tmp_path / "in", SPOKEN, kind=kind)
    found = build_stored(tmp_path / "in", tmp_path / "out", "--lang", "ron")
    assert summary(found) == summary(SPOKEN)
    assert {(one.speaker, one.tags["gender"]) for one in found} == {(one.speaker, one.gender) for one in SPOKEN}
    assert {one.source for one in found if one.split == "dev"} == {
        f"data/validation-00000-of-00002.parquet/000001-ron-006.{kind.lower()}",
        f"data/validation-00001-of-00002.parquet/000001-ron-007.{kind.lower()}",
    }


def test_the_recordings_are_those_of_their_rows(tmp_path):
    write_parquet(tmp_path / "in", SPOKEN)
    lengths = {one.text: 0.5 + one.number % 5 / 10 for one in SPOKEN}
    for one in build_stored(tmp_path / "in", tmp_path / "out", "--lang", "ron"):
        assert abs(one.seconds - lengths[one.text]) < 0.001


def test_the_shards_do_not_depend_on_where_the_files_are_or_on_workers(tmp_path):
    for name in ("here", "there"):
        write_parquet(tmp_path / name / "in", SPOKEN)
    for name, workers in (("here", "1"), ("there", "2")):
        arguments = [str(tmp_path / name / "in"), str(tmp_path / name / "out"), "--lang", "ron", "--workers", workers]
        assert main(["shards", "build", *arguments]) == 0
    assert tree_sums(tmp_path / "here" / "out") == tree_sums(tmp_path / "there" / "out")


def test_recordings_of_a_row_group_follow_one_another(tmp_path):
    write_parquet(tmp_path, utterances(train=24, dev=0, test=0), files=1)
    all_of_it = ("--lang", "ron", "--dev-fraction", "0", "--test-fraction", "0")
    build_stored(tmp_path / "data" / "train-00000-of-00001.parquet", tmp_path / "out", *all_of_it)
    table = pq.read_table(tmp_path / "out" / "ron" / "samples.parquet")
    rows = [int(key[:6]) - 1 for key in table.column("key").to_pylist()]
    assert sorted(rows) == list(range(24)) and rows != sorted(rows)  # the row groups are mixed
    assert [rows[number + 1] - rows[number] for number in range(0, 24, 2)] == [1] * 12


def test_shards_that_were_built_into_the_folder_are_no_part_of_it(tmp_path):
    write_parquet(tmp_path, SPOKEN)
    found = build_stored(tmp_path, tmp_path / "corpus", "--lang", "ron")
    rows = read_source(tmp_path, language="ron")
    assert len(rows) == len(found) and not list(rows.left_out)


def test_languages_come_from_folders_columns_or_the_option(tmp_path):
    for language in ("ron", "ita"):
        write_parquet(tmp_path / "folders" / language, utterances(language=language))
    assert {row.language for row in read_source(tmp_path / "folders")} == {"ron", "ita"}
    one = tmp_path / "folders" / "ita" / "data" / "train-00000-of-00002.parquet"
    assert {row.language for row in read_source(one.rename(tmp_path / "folders" / "ita" / "one.parquet"))} == {"ita"}
    table = dataset(SPOKEN).data.table.append_column("locale", pa.array(["ro"] * len(SPOKEN)))
    pq.write_table(table, tmp_path / "one.parquet")
    assert {row.language for row in read_source(tmp_path / "one.parquet")} == {"ron"}
    write_parquet(tmp_path / "plain", SPOKEN)
    with pytest.raises(SourceError, match=r"parquet: no column 'lang'.*--lang gives one language"):
        read_source(tmp_path / "plain")


def test_a_language_given_decides_what_rows_leave_open(tmp_path):
    table = dataset(SPOKEN).data.table.append_column("locale", pa.array(["no"] * len(SPOKEN)))
    pq.write_table(table, tmp_path / "one.parquet")
    with pytest.raises(SourceError, match=r"one.parquet:1: language 'no' may be"):
        read_source(tmp_path / "one.parquet")
    assert {row.language for row in read_source(tmp_path / "one.parquet", language="nob")} == {"nob"}


def test_decoded_samples_are_refused_with_what_is_expected(tmp_path):
    audio = [{"array": [0.0, 0.1], "sampling_rate": 16_000}]
    pq.write_table(pa.table({"audio": audio, "text": ["unu"]}), tmp_path / "one.parquet")
    with pytest.raises(SourceError, match="column 'audio' has neither recordings, as the bytes of audio files, nor"):
        read_source(tmp_path / "one.parquet", kind="parquet", language="ron")


def test_partitions_of_omnilingual_are_languages_and_splits(tmp_path):
    spoken = [*SPOKEN, *utterances(language="ita")]
    write_omnilingual(tmp_path / "in", spoken)
    found = build_stored(tmp_path / "in", tmp_path / "out")
    assert [(one.language, one.split, one.text) for one in found] == sorted(
        (one.language, one.split, one.text) for one in spoken
    )
    assert {one.tags["corpus"] for one in found} == {"radio"}
    assert read_source(tmp_path / "in").kind == "omnilingual"
    inner = tmp_path / "in" / "version=0" / "corpus=radio" / "split=dev" / "language=ita_Latn"
    for place in (inner, inner / "part-0.parquet"):
        rows = read_source(place)
        assert (rows.kind, {(row.language, row.split) for row in rows}) == ("omnilingual", {("ita", "dev")})


def test_columns_of_other_names_are_given(tmp_path):
    table = dataset(SPOKEN).data.table.rename_columns(["speech", "words", "who", "gender"])
    pq.write_table(table, tmp_path / "one.parquet")
    with pytest.raises(SourceError, match=r"no column 'text'.*--columns text=COLUMN"):
        read_source(tmp_path / "one.parquet", language="ron")
    rows = read_source(tmp_path / "one.parquet", language="ron", columns={"text": "words", "speaker": "who"})
    assert [(row.text, row.speaker) for row in rows] == [(one.text, one.speaker) for one in SPOKEN]
    twice = table.append_column("second", table.column("speech"))
    pq.write_table(twice, tmp_path / "two.parquet")
    with pytest.raises(SourceError, match=r"several columns hold recordings, 'speech', 'second'; .*audio=speech"):
        read_source(tmp_path / "two.parquet", language="ron", columns={"text": "words"})


def test_rows_without_bytes_have_a_path_or_are_named(tmp_path):
    (tmp_path / "clip.flac").write_bytes(SPOKEN[0].audio("FLAC"))
    audio = [{"bytes": None, "path": "clip.flac"}, {"bytes": None, "path": None}, None, {"bytes": b"x", "path": None}]
    table = pa.table({"audio": audio, "text": list("abcd")})
    pq.write_table(table, tmp_path / "one.parquet")
    with pytest.raises(SourceError, match=r"one.parquet:2: 'audio' is empty, expected a recording"):
        read_source(tmp_path / "one.parquet", language="ron")
    rows = read_source(tmp_path / "one.parquet", language="ron", skip_bad_rows=True)
    assert [row.text for row in rows] == ["a", "d"] and [item.line for item in rows.left_out] == [2, 3]
    assert next(iter(rows)).audio.path == tmp_path / "clip.flac"


def test_a_table_of_paths_is_a_manifest_and_a_folder_of_them_is_read(tmp_path):
    write_parquet(tmp_path / "in", SPOKEN)
    (tmp_path / "clip.flac").write_bytes(SPOKEN[0].audio("FLAC"))
    pq.write_table(pa.table({"path": ["clip.flac"], "text": ["unu"]}), tmp_path / "train.parquet")
    assert read_source(tmp_path / "train.parquet", language="ron").kind == "manifest"
    (tmp_path / "folder").mkdir()
    (tmp_path / "train.parquet").rename(tmp_path / "folder" / "train.parquet")
    (row,) = rows = read_source(tmp_path / "folder", language="ron", audio_root=tmp_path)
    assert (rows.kind, row.split, row.audio.path) == ("parquet", "train", tmp_path / "clip.flac")


def test_texts_that_look_like_missing_values_are_texts(tmp_path):
    for text in ("nan", "null", "NA"):
        spoken = utterances(train=2, dev=0, test=0, text=text)
        pq.write_table(dataset(spoken).data.table, tmp_path / "one.parquet")
        assert text in [row.text for row in read_source(tmp_path / "one.parquet", language="ron")]


def test_damaged_cells_and_files_are_counted_or_named(tmp_path):
    table = dataset(SPOKEN).data.table
    audio = table.column("audio").to_pylist()
    audio[0]["bytes"] = audio[0]["bytes"][:-1000]
    audio[1]["bytes"] = b"no recording"
    pq.write_table(table.set_column(0, "audio", pa.array(audio)), tmp_path / "one.parquet")
    assert main(["shards", "build", str(tmp_path / "one.parquet"), str(tmp_path / "out"), "--lang", "ron"]) == 0
    assert len(stored(tmp_path / "out")) == len(SPOKEN) - 2
    data = (tmp_path / "one.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(
        SourceError, match=r"half.parquet is damaged, or in another format: .*; copy or download it again"
    ):
        read_source(tmp_path / "half.parquet", kind="parquet", language="ron")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no parquet file in"):
        read_source(tmp_path / "empty", kind="parquet", language="ron")
