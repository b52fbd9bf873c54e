"""A release of Common Voice becomes shards: every clip of its splits, or all clips of one table, by voice."""

import re
from collections import Counter

import pytest

from launcher.cli import main
from shards.build.plan import plan_languages
from shards.errors import SourceError
from shards.sources.archived_audio import copied_recordings
from shards.sources.registry import read_source
from tests.layouts.common_voice import SCRIPTED_2019, write_common_voice, write_table, write_tar
from tests.layouts.utterances import Spoken, build_stored, summary, utterances
from tests.shard_samples import sentence, tree_sums


def spoken_in_cv(found):
    """What shards must have: Common Voice's ids of speakers."""
    return sorted((one.language, one.split, one.text, one.speaker * 16) for one in found)


@pytest.mark.parametrize("columns", [None, SCRIPTED_2019])
def test_a_release_becomes_shards_with_its_splits_speakers_and_tags(columns, tmp_path, capsys):
    spoken = utterances(text='"Da", zise el')
    options = {} if columns is None else {"columns": columns}
    folder = write_common_voice(tmp_path / "cv-corpus-22.0-2025-06-20" / "ro", spoken, **options)
    found = build_stored(folder.parent, tmp_path / "shards")
    assert capsys.readouterr().out.startswith("source: common-voice (recognised")
    assert summary(found) == spoken_in_cv(spoken)
    domain = {"domain": "general"} if columns is None else {}
    for one in found:
        assert one.tags.pop("gender").endswith("ine")
        assert one.tags == {"accent": "bănățean", "age": "twenties", "up_votes": "2", "down_votes": "0"} | domain


@pytest.mark.parametrize(("name", "mode"), [("ro.tar.gz", "w:gz"), ("ro.tar", "w"), ("ro.tar.xz", "w:xz")])
@pytest.mark.parametrize("options", [[], ["--split-from", "validated"]])
def test_the_downloaded_tar_gives_the_bytes_of_the_unpacked_folder(name, mode, options, tmp_path, capsys):
    folder = write_common_voice(tmp_path / "ro", utterances(train=12))
    archive = write_tar(tmp_path / name, folder, "cv-corpus-22.0-2025-06-20/ro", mode)
    build_stored(folder, tmp_path / "one", *options)
    capsys.readouterr()
    build_stored(archive, tmp_path / "two", *options)
    out = " ".join(capsys.readouterr().out.split())
    note = "a build copies those of one language at a time to SHARDS/.build, at most 1 MiB (of ron)"
    assert (note in out) == (mode != "w")
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "two")
    assert {path.name for path in (tmp_path / "two" / ".build").iterdir()} == {"ron.json", "ron.lock"}
    assert main(["shards", "build", str(archive), str(tmp_path / "two"), *options]) == 0
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "two")


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
@pytest.mark.parametrize(("name", "mode"), [("ro.tar.gz", "w:gz"), ("ro.tar", "w")])
def test_a_tar_that_was_cut_short_is_refused(name, mode, cut, tmp_path):
    archive = write_tar(tmp_path / name, write_common_voice(tmp_path / "ro", utterances()), "cv/ro", mode)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * cut) if mode == "w:gz" else int(len(data) * cut) - 10240])
    with pytest.raises(SourceError, match=r"ro.tar.* is damaged or incomplete: .*; download it again"):
        read_source(archive, kind="common-voice")


def test_a_clip_that_a_tar_lacks_is_missing_as_in_a_folder(tmp_path):
    folder = write_common_voice(tmp_path / "ro", utterances())
    (folder / "clips" / "common_voice_ro_1002.mp3").unlink()
    archive = write_tar(tmp_path / "ro.tar.gz", folder, "ro")
    for place in (folder, archive):
        failed = plan_languages(read_source(place), dev_fraction=0.1, test_fraction=0.1).failed
        assert re.search(r"1 recording missing, the first is .*common_voice_ro_1002.mp3", failed["ron"].found)
        build_stored(place, tmp_path / place.name.replace(".", "-"), "--skip-missing-audio")
    assert tree_sums(tmp_path / "ro-tar-gz")["ron/index.json"]


def test_an_archive_that_changes_between_its_passes_is_noticed(tmp_path):
    folder = write_common_voice(tmp_path / "ro", utterances())
    archive = write_tar(tmp_path / "ro.tar.gz", folder, "ro")
    rows = list(read_source(archive))
    (folder / "clips" / "common_voice_ro_1002.mp3").unlink()
    write_tar(archive, folder, "ro")
    with pytest.raises(SourceError, match=r"ro.tar.gz no longer has ro/clips/common_voice_ro_1002.mp3"):
        copied_recordings((row.audio for row in rows), tmp_path / "copies")
    with pytest.raises(FileNotFoundError):
        next(row.audio for row in rows if "1002" in row.name).open()
    assert rows[0].audio.open().size == rows[0].audio.size


def many(speakers, sentences, readings):
    """Clips that are in no split: `sentences` sentences, each read by `readings` of the speakers."""
    found = []
    for number in range(sentences * readings):
        speaker = f"s{(number * 7 + number // sentences) % speakers}"
        found.append(Spoken(f"{number}", sentence(number % sentences, 3), speaker, "male", "", "ron", number))
    return found


@pytest.mark.parametrize(("speakers", "sentences", "readings"), [(40, 300, 1), (40, 60, 5), (5, 100, 2), (3, 4, 3)])
def test_validated_is_split_so_that_no_voice_and_no_sentence_is_in_two(speakers, sentences, readings, tmp_path):
    clips = many(speakers, sentences, readings)
    folder = write_common_voice(tmp_path / "ro", [])
    lines = [("client_id", "path", "sentence"), *((one.speaker, f"{one.key}.mp3", one.text) for one in clips)]
    write_table(folder / "validated.tsv", lines)
    for one in clips:
        (folder / "clips" / f"{one.key}.mp3").write_bytes(b"x")
    rows = read_source(folder, split_from="validated")
    (plan,) = plan_languages(rows, dev_fraction=0.1, test_fraction=0.1, split_by="speaker")
    for facts in (lambda one: one.speaker, lambda one: one.text):
        splits = {split: {facts(one) for one in candidates} for split, candidates in plan.candidates.items()}
        assert not splits["train"] & splits["dev"] | splits["train"] & splits["test"] | splits["dev"] & splits["test"]
    assert all(plan.candidates.values())
    assert plan.total + plan.drops["text_in_other_split"] == len(clips)
    if readings == 1:
        assert plan.total == len(clips)
    if speakers == 40:
        assert len(plan.candidates["train"]) >= 0.5 * len(clips)


def test_the_shipped_splits_say_how_much_more_is_validated(tmp_path):
    spoken = [*utterances(), *(Spoken(f"x{n}", sentence(n, 4), "s9", "male", "", "ron", n) for n in range(20, 60))]
    rows = read_source(write_common_voice(tmp_path / "ro", spoken))
    (note,) = rows.notes
    assert (rows.of_languages(["ron"]).notes, rows.of_languages(["ita"]).notes) == ([note], [])
    assert "have 10 of the 50 clips in validated.tsv, about 0.0 h; --split-from validated uses all of them" in note
    assert len(read_source(tmp_path / "ro", split_from="validated")) == 50


def test_a_release_of_several_languages_keeps_them_apart(tmp_path):
    for locale, language in (("ro", "ron"), ("cy", "cym")):
        write_common_voice(tmp_path / "cv" / locale, utterances(language=language), locale=locale)
    rows = list(read_source(tmp_path / "cv"))
    assert Counter(row.language for row in rows) == {"ron": 10, "cym": 10}
    assert {row.language for row in read_source(tmp_path / "cv", language="cym")} == {"cym"}
    assert {row.language for row in read_source(tmp_path / "cv" / "cy", language="kab")} == {"kab"}


def test_an_ambiguous_language_is_named_with_the_way_out(tmp_path):
    write_common_voice(tmp_path / "cv" / "sr", utterances(), locale="sr")
    write_common_voice(tmp_path / "cv" / "cy", utterances(), locale="cy")
    with pytest.raises(SourceError, match=r"cv/sr: .*srp-script_latin.*give it with --lang"):
        read_source(tmp_path / "cv")
    rows = read_source(tmp_path / "cv", skip_bad_rows=True)
    assert {row.language for row in rows} == {"cym"}
    assert {row.language for row in read_source(tmp_path / "cv" / "sr", language="srp-script_latin")} == {
        "srp-script_latin"
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"ab\tclip.mp3", r"train.tsv:8: 2 tab-separated fields, the header has 13"),
        (b"\t".join([b"ab", b"x.mp3", b"1", b"\xff", *[b""] * 9]), "train.tsv:8: is not UTF-8"),
        (b"\t".join([b"ab", b"", b"1", b"un", *[b""] * 9]), "train.tsv:8: 'path' is empty"),
        (b"\t".join([b"ab", b"x.mp3", b"1", b"u\0n", *[b""] * 9]), "train.tsv:8: 'sentence' contains a NUL"),
    ],
)
def test_a_damaged_line_is_named_and_may_be_skipped(line, message, tmp_path):
    folder = write_common_voice(tmp_path / "ro", utterances())
    with open(folder / "train.tsv", "ab") as file:
        file.write(line + b"\n")
    with pytest.raises(SourceError, match=f"{message}.*--skip-bad-rows"):
        read_source(folder)
    rows = read_source(folder, skip_bad_rows=True)
    assert len(rows) == 10
    (left_out,) = rows.left_out
    assert (left_out.language, left_out.line) == ("ron", 8)
    assert left_out.drop.example.startswith("train.tsv:8: ")


def test_what_is_not_there_is_named_with_the_way_to_it(tmp_path):
    folder = write_common_voice(tmp_path / "ro", [])
    with pytest.raises(SourceError, match=r"no clips in train.tsv, dev.tsv and test.tsv; --split-from validated makes"):
        read_source(folder)
    with pytest.raises(SourceError, match=r"has no reported.tsv with clips"):
        read_source(folder, split_from="reported")
    with pytest.raises(SourceError, match=r"one table of Common Voice.*shards build .*/ro SHARDS --split-from other"):
        read_source(folder / "other.tsv")
    with pytest.raises(SourceError, match="no file or folder"):
        read_source(tmp_path / "gone", kind="common-voice")
