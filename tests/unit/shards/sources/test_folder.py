"""Everything in a folder of recordings is used or counted by reason, whatever the folders are called."""

import json
import os
import re
import unicodedata
from collections import Counter

import pytest
import soundfile

from launcher.cli import main
from launcher.slurm.language_groups import utterances_by_language
from shards.audio.extensions import AUDIO_EXTENSIONS, PYAV_EXTENSIONS, UNREAD_AUDIO, UNREAD_VIDEO
from shards.build.plan import plan_languages
from shards.drops import REASONS, Drop, Drops
from shards.errors import SourceError
from shards.sources import folder_files as folder_scan
from shards.sources.registry import read_source
from tests.layouts.folder import lay_out
from tests.shard_samples import sentence, sound

NFC, NFD = (unicodedata.normalize(form, "pâine") for form in ("NFC", "NFD"))


@pytest.fixture(autouse=True)
def without_pyav(monkeypatch):
    for module in ("audio.extensions", "display.build_report"):
        monkeypatch.setattr(f"shards.{module}.pyav_is_installed", lambda: False)


def test_with_pyav_more_kinds_of_recordings_are_read(tmp_path, monkeypatch):
    lay_out(tmp_path, "eng/a.m4a eng/a.txt eng/b.webm eng/b.flac eng/b.txt eng/c.shn eng/c.txt")
    monkeypatch.setattr("shards.audio.extensions.pyav_is_installed", lambda: True)
    rows = read_source(tmp_path)
    assert used(rows).keys() == {"eng/a.m4a", "eng/b.flac"}
    assert counts_of(rows) == {"duplicate": 1, "unread_format": 1}


def counts_of(rows):
    return dict(Counter(item.drop.reason for item in rows.left_out))


def used(rows):
    return {row.name: (row.language, row.split, row.text is not None) for row in rows}


@pytest.mark.parametrize(
    ("names", "expected", "left_out"),
    [
        ("eng/a.wav eng/a.txt eng/b.m4a eng/b.txt", {"eng/a.wav": ("eng", None, True)}, {"unread_format": 1}),
        ("eng/a.wav eng/a.txt eng/b.amr eng/c.mp4 eng/c.txt", {"eng/a.wav": ("eng", None, True)}, {"unread_format": 2}),
        ("eng/a.sph eng/a.txt", {"eng/a.sph": ("eng", None, True)}, {}),
        ("eng/CLIP.WAV eng/CLIP.TXT", {"eng/CLIP.WAV": ("eng", None, True)}, {}),
        ("eng/Clip.wav eng/CLIP.txt", {"eng/Clip.wav": ("eng", None, True)}, {}),
        (
            "eng/a.wav eng/A.wav eng/a.txt",
            {"eng/a.wav": ("eng", None, True), "eng/A.wav": ("eng", None, False)},
            {},
        ),
        (
            "eng/Clip.wav eng/CLIP.txt eng/clip.txt",
            {"eng/Clip.wav": ("eng", None, False)},
            {"missing_audio": 2},
        ),
        ("eng/a.wav eng/a.txt eng/a.TXT", {"eng/a.wav": ("eng", None, False)}, {}),
        ("eng/a.wav eng/a.flac eng/a.mp3 eng/a.txt", {"eng/a.flac": ("eng", None, True)}, {"duplicate": 2}),
        ("eng/a.flac@ eng/a.wav eng/a.txt", {"eng/a.wav": ("eng", None, True)}, {"duplicate": 1}),
        ("eng/a.m4a eng/a.wav eng/a.txt", {"eng/a.wav": ("eng", None, True)}, {"duplicate": 1}),
        ("eng/a.wav eng/b.txt", {"eng/a.wav": ("eng", None, False)}, {"missing_audio": 1}),
        ("eng/a.wav eng/a.lab", {"eng/a.wav": ("eng", None, False)}, {}),
        ("eng/a.wav eng/a.txt eng/a.json eng/b.srt", {"eng/a.wav": ("eng", None, True)}, {"other_file": 2}),
        (
            "eng/a.wav eng/a.txt eng/.DS_Store eng/._a.wav eng/._a.txt __MACOSX/eng/a.wav eng/b.wav.part eng/.c/d.wav",
            {"eng/a.wav": ("eng", None, True)},
            {"hidden_file": 6},
        ),
        ("eng/a.wav eng/a.txt README.md README.txt notes", {"eng/a.wav": ("eng", None, True)}, {"other_file": 3}),
        (f"eng/{NFC}.wav eng/{NFD}.txt", {f"eng/{NFC}.wav": ("eng", None, True)}, {}),
        (
            "real/eng/a.wav real/eng/a.txt real/eng/up->.. real/eng/self->.",
            {"real/eng/a.wav": ("eng", None, True)},
            {},
        ),
        (
            "eng/a.wav eng/a.txt ron/b.wav ron/b.txt eng/other->../ron ron/other->../eng",
            {"eng/a.wav": ("eng", None, True), "ron/b.wav": ("ron", None, True)},
            {},
        ),
        ("eng/a.wav eng/a.txt eng/b.wav->a.wav eng/b.txt", {"eng/a.wav": ("eng", None, True)}, {"duplicate": 1}),
        (
            "eng/train/a.wav eng/train/a.txt eng/test/a.wav->../train/a.wav eng/test/a.txt",
            {"eng/test/a.wav": ("eng", "test", True)},
            {"duplicate": 1},
        ),
    ],
)
def test_every_file_of_a_folder_is_used_or_counted_by_reason(names, expected, left_out, tmp_path):
    rows = read_source(lay_out(tmp_path, names))
    assert used(rows) == expected
    assert counts_of(rows) == left_out


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("train/eng/a.wav test/eng/b.wav", {"train": 1, "test": 1}),
        ("eng/train/a.wav eng/validation/b.wav eng/testing/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/Training/a.wav eng/VAL/b.wav eng/tst/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/train-clean-100/a.wav eng/dev-other/b.wav eng/test_clean/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/trainset/a.wav eng/devset/b.wav eng/tests/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/train/a.wav eng/dev/b.wav eng/eval92/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/train/a.wav eng/eval/b.wav eng/development/notes.md", {"train": 1, "dev": 1}),
        ("eng/train/a.wav eng/evaluation/b.wav eng/test/c.wav", {"train": 1, "dev": 1, "test": 1}),
        ("eng/train/speaker1/a.wav eng/test/speaker2/session3/b.wav", {"train": 1, "test": 1}),
        ("train/eng/speaker1/a.wav test/eng/abc1/b.wav", {"train": 1, "test": 1}),
        ("corpora/asr/eng/dev/wav/a.wav", {"dev": 1}),
        ("eng/wav/a.wav", {None: 1}),
        ("eng/clips/a.wav eng/test/clips/b.wav", {None: 1, "test": 1}),
        ("eng/train/a.wav eng/b.wav", {"train": 1, None: 1}),
        ("store/x.bin test/eng/a.wav->../../store/x.bin", {"test": 1}),
    ],
)
def test_folders_named_as_splits_are_splits_above_and_below_the_language(names, expected, tmp_path):
    rows = read_source(lay_out(tmp_path, names))
    assert {row.language for row in rows} == {"eng"}
    assert Counter(row.split for row in rows) == expected


@pytest.mark.parametrize(
    ("names", "language", "message"),
    [
        ("clips/a.wav", None, r"language code 'clips'.*pass --lang"),
        ("eng/speaker1/a.wav", None, "'speaker1' is not ISO 639-3.*it is not a split .* either.*; pass --lang"),
        ("eng/holdout/a.wav eng/b.wav", None, "'holdout'.*it is not a split"),
        ("eng/holdout/a.wav eng/b.wav", "eng", "folder 'holdout' is not a known split.*; rename it"),
        ("held-out/a.wav main/b.wav", "eng", "folder 'held-out' is not a known split"),
        ("train/held-out/a.wav train/b.wav", "eng", "folder 'held-out' is not a known split"),
        ("eng/train/a.wav eng/abc/b.wav", None, "folder 'abc' is beside split folders"),
        ("eng/train/a.wav eng/extra/b.wav", "eng", "folder 'extra' is beside split folders"),
        ("train/a.wav test/b.wav blind2/c.wav", "eng", "folder 'blind2' is beside split folders"),
        ("train/eng/a.wav hid/eng/c.wav", None, "folder 'hid' is beside split folders"),
        ("eng/train_dev/a.wav eng/train/b.wav", None, "'train_dev' is not ISO 639-3.*it is not a split"),
        ("train_dev/a.wav b.wav", "eng", "folder 'train_dev' is not a known split"),
        ("train/eng/test/a.wav", None, r"its folders name several splits \(test and train\)"),
        ("eng/train/abc/a.wav", None, "both 'eng' and 'abc' could be its language"),
        ("ron/ro/a.wav", None, "'ro' is not ISO 639-3.*write 'ron'"),
        ("zh/a.wav", None, "folder 'zh': language 'zh' may be several .*; write the one that is meant: cmn"),
        ("Romanian/a.wav", None, "'Romanian' is not ISO 639-3.*write 'ron'"),
        ("wav/a.wav", None, "folder 'wav' is named after a kind of file.*; pass the language with --lang"),
        (
            "eng/a.m4a eng/a.txt",
            None,
            r"found 1 \.m4a, 1 \.txt; pip install 'mms-dist\[av\]' .* or convert: ffmpeg -i clip.m4a",
        ),
        ("eng/train-0.tar", None, r"found 1 \.tar; index tars of recordings with: mms-dist shards index"),
        ("eng/._a.wav eng/.b.wav", None, "no recording below .*, found 2 hidden files"),
        ("train.tsv clips/a.txt", None, r"found 1 \.t.*name the manifest itself"),
    ],
)
def test_a_folder_that_is_not_understood_is_refused_and_never_hashed(names, language, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(lay_out(tmp_path, names), language=language)


def test_mixed_corpora_keep_languages_beside_folders_of_splits_apart(tmp_path):
    rows = read_source(lay_out(tmp_path, "train/eng/a.wav test/eng/b.wav ron/c.wav"))
    assert {(row.language, row.split) for row in rows} == {("eng", "train"), ("eng", "test"), ("ron", None)}
    assert rows.without_split() == {}


@pytest.mark.parametrize(
    ("names", "language", "expected"),
    [
        (
            "ro/a.wav pt-BR/b.wav cmn_hans_cn/c.wav srp_Cyrl/d.wav",
            None,
            "ron por cmn-script_simplified srp-script_cyrillic",
        ),
        ("ro_ro/train/a.wav sr_rs/test/b.wav", None, "ron srp-script_latin"),
        ("cv/ron/a.wav cv/ita/b.wav", None, "ron ita"),
        ("ro/a.wav ita/b.wav", "ron", "ron"),
        ("zh/a.wav ita/b.wav", "cmn-script_simplified", "cmn-script_simplified"),
    ],
)
def test_folders_named_by_other_codes_are_of_the_training_code(names, language, expected, tmp_path):
    rows = read_source(lay_out(tmp_path, names), language=language)
    assert {row.language for row in rows} == set(expected.split())
    assert len(rows) == (len(names.split()) if language is None else 1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("ron/a.wav aac/b.wav ogg/clips/c.wav", {"ron": 1, "aac": 1, "ogg": 1}),
        ("train/ron/a.wav train/wav/b.wav test/wav/c.wav", {"ron": 1, "wav": 2}),
        ("ro/a.wav amr/b.wav", {"ron": 1, "amr": 1}),
        ("ron/wav/a.wav ron/flac/b.flac ita/ogg/c.ogg", {"ron": 2, "ita": 1}),
        ("wav/ron/a.wav ogg/ita/b.ogg", {"ron": 1, "ita": 1}),
    ],
)
def test_folders_named_as_kinds_of_files_are_languages_beside_others(names, expected, tmp_path):
    rows = read_source(lay_out(tmp_path, names))
    assert rows.utterances == expected
    alike = sorted({"aac", "amr", "ogg", "wav"} & expected.keys())
    reason = "taken for languages and not for kinds of files, as beside other languages"
    assert rows.notes == ([f"{', '.join(alike)}: {reason}"] if alike else [])


def test_one_language_takes_its_own_folders_or_all_of_them(tmp_path):
    lay_out(tmp_path, "val/a.wav val/b.m4a eng/c.wav train/val/d.wav README.md")
    rows = read_source(tmp_path, language="val")
    assert used(rows) == {"val/a.wav": ("val", None, False), "train/val/d.wav": ("val", "train", False)}
    assert counts_of(rows) == {"unread_format": 1}
    assert rows.notes == []
    rows = read_source(tmp_path / "eng", language="ron")
    assert used(rows) == {"c.wav": ("ron", None, False)}
    assert rows.notes == []
    rows = read_source(lay_out(tmp_path / "other", "eng/a.wav ita/b.wav"), language="ron")
    assert {row.language for row in rows} == {"ron"}
    assert rows.notes == ["ron: used as the language of all recordings, including those in eng, ita"]


def test_links_to_folders_are_followed_and_their_files_keep_their_names(tmp_path):
    lay_out(tmp_path, "store/clips/a.wav store/clips/a.txt store/clips/notes.md in/links->../store in/eng->links/clips")
    rows = read_source(tmp_path / "in")
    assert used(rows) == {"eng/a.wav": ("eng", None, True)}
    lay_out(
        tmp_path, "out/aaa->zzz/eng out/bbb->zzz/eng out/test->zzz out/zzz/eng/a.wav out/zzz/eng/a.txt out/zzz/eng/b.md"
    )
    rows = read_source(tmp_path / "out", language="eng")
    assert used(rows) == {"test/eng/a.wav": ("eng", "test", True)}
    assert counts_of(rows) == {"other_file": 1}
    lay_out(tmp_path, "mix/eng/a.wav mix/ron/b.wav mix/ron/b.txt mix/eng/ron->../ron mix/eng/c.md mix/aaa->eng/c.md")
    rows = read_source(tmp_path / "mix")
    assert used(rows) == {"eng/a.wav": ("eng", None, False), "ron/b.wav": ("ron", None, True)}
    assert counts_of(rows) == {"other_file": 1}


def test_examples_of_drops_can_be_written_whatever_is_in_a_name():
    drops = Drops()
    drops.add(Drop("other_file", "a\udce9\ud83d.bin"))
    assert drops["other_file"] == 1
    json.dumps(drops.as_dict(), ensure_ascii=False).encode()


def test_the_language_may_be_the_name_of_the_folder_itself(tmp_path, monkeypatch):
    lay_out(tmp_path, "eng/a.wav eng/test/b.wav")
    assert {row.language for row in read_source(tmp_path / "eng")} == {"eng"}
    assert used(read_source(tmp_path / "eng" / "test")) == {"b.wav": ("eng", "test", False)}
    monkeypatch.chdir(tmp_path / "eng")
    assert {row.language for row in read_source(folder_scan.Path("."))} == {"eng"}


def test_a_transcript_that_lies_elsewhere_is_pointed_at(tmp_path):
    lay_out(tmp_path, "eng/a.wav eng/a.lab eng/b.wav train.tsv eng/test/d.wav eng/test/1.trans.txt")
    lay_out(tmp_path, "eng/e.wav eng/e.txt eng/e.TXT")
    rows = read_source(tmp_path, language="eng")
    found = {row.name: row.detail for row in rows}
    assert found["eng/a.wav"].startswith("a.lab lies beside it, and only .txt is read")
    assert found["eng/test/d.wav"] == "make a manifest of 1.trans.txt, if that contains the transcripts"
    assert found["eng/e.wav"] == "e.TXT and e.txt could both be its transcript"
    assert found["eng/b.wav"] == ""


def test_the_folder_of_the_shards_is_no_part_of_the_source(tmp_path):
    lay_out(tmp_path, "eng/a.wav eng/a.txt out/eng/train-000000.tar out/.build/eng.json")
    assert counts_of(read_source(tmp_path)) == {"other_file": 1, "hidden_file": 1}
    assert counts_of(read_source(tmp_path, skip=tmp_path / "out")) == {}


def test_a_folder_that_can_not_be_read_is_named_unless_it_is_hidden(tmp_path, monkeypatch):
    lay_out(tmp_path, "eng/a.wav eng/closed/b.wav lost+found/c")
    scan = os.scandir

    def scandir(path):
        if str(path).endswith(("closed", "lost+found")):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(folder_scan.os, "scandir", scandir)
    with pytest.raises(SourceError, match=r"closed cannot be read: Permission denied"):
        read_source(tmp_path)
    (tmp_path / "eng" / "closed").rename(tmp_path / "eng" / "wav")
    assert len(read_source(tmp_path)) == 2


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        ("țară".encode("iso8859-16"), "row_encoding", "b.txt: is not UTF-8: .* iconv"),
        ("țară".encode("utf-16"), "row_encoding", "b.txt: is UTF-16: .* iconv -f UTF-16 -t UTF-8"),
        (b"a\0b", "row_encoding", "b.txt: the transcript contains a NUL character"),
        (b"a" * 100_001, "row_value", "b.txt: the transcript has 100,001 characters"),
        (b"a" * (1 << 20), "row_value", "b.txt: it has more than 1 MiB"),
    ],
)
def test_a_transcript_that_can_not_be_read_stops_the_build_or_is_counted(data, reason, message, tmp_path):
    lay_out(tmp_path, "eng/a.wav eng/a.txt eng/b.wav eng/b.txt")
    (tmp_path / "eng" / "b.txt").write_bytes(data)
    with pytest.raises(SourceError, match=f"{message}.*--skip-bad-rows"):
        read_source(tmp_path)
    rows = read_source(tmp_path, skip_bad_rows=True)
    assert (list(used(rows)), counts_of(rows)) == (["eng/a.wav"], {reason: 1})


def test_pipes_and_broken_links_are_named_and_never_waited_for(tmp_path):
    lay_out(tmp_path, "eng/a.wav eng/a.txt eng/b.wav eng/c.wav eng/c.txt->nowhere")
    os.mkfifo(tmp_path / "eng" / "b.txt")
    os.mkfifo(tmp_path / "eng" / "d.wav")
    with pytest.raises(SourceError, match=r"b.txt: it is not a regular file"):
        read_source(tmp_path)
    rows = read_source(tmp_path, skip_bad_rows=True)
    assert list(used(rows)) == ["eng/a.wav", "eng/d.wav"]
    assert counts_of(rows) == {"row_value": 2}
    (problem,) = plan_languages(rows, dev_fraction=0.1, test_fraction=0.1).failed.values()
    assert re.search(r"1 recording missing, the first is .*d.wav.*; it is not a regular file", str(problem))


def test_unread_recordings_fail_their_language_and_doc_folders_do_not(tmp_path):
    lay_out(tmp_path, "eng/a.wav eng/a.txt fra/b.m4a doc/notes.txt doc/readme.md")
    rows = read_source(tmp_path)
    assert rows.languages == {"eng", "fra"}
    assert rows.drops()[None].as_dict().keys() == {"missing_audio", "other_file"}
    plans = plan_languages(rows, dev_fraction=0.1, test_fraction=0.1)
    assert plans.totals == {"eng": 1} and plans.failed.keys() == {"fra"}
    message = str(plans.failed["fra"])
    assert re.search("no training utterances left in fra: left out 1 unread_format.*ffmpeg", message)
    assert utterances_by_language(read_source(tmp_path)) == {"eng": 1, "fra": 0}


def test_kinds_of_recordings_are_read_or_converted_and_never_both():
    kinds = [*AUDIO_EXTENSIONS, *PYAV_EXTENSIONS, *UNREAD_AUDIO, *UNREAD_VIDEO]
    assert len(set(kinds)) == len(kinds)
    assert {"row_fields", "row_encoding", "row_json", "row_value"} <= REASONS.keys()


def clip(path, text=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(os.fsencode(path), sound(0.6, seed=len(path.name)), 16_000, **options)
    if text:
        path.with_suffix(".txt").write_text(text)


def test_the_summary_and_the_index_count_what_was_left_out_exactly(tmp_path, capsys):
    source = tmp_path / "in"
    for number in range(4):
        clip(source / "eng" / f"{number}.wav", sentence(number))
    clip(source / "eng" / "n.sph", sentence(9), format="NIST")
    clip(source / "eng" / "two.flac", sentence(10))
    lay_out(
        source, "eng/m.m4a eng/p.amr eng/o.m4a eng/two.wav eng/alone.txt eng/zero.wav@ eng/zero.txt LICENSE .DS_Store"
    )
    assert main(["shards", "build", str(source), str(tmp_path / "out"), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    index = json.loads((tmp_path / "out" / "eng" / "index.json").read_text())
    assert sum(entry["samples"] for entry in index["splits"].values()) == 6
    counts = {reason: entry["count"] for reason, entry in index["drops"].items()}
    assert counts == {"missing_audio": 1, "unread_format": 3, "duplicate": 1, "undecodable": 1}
    assert "(unknown): 2 left out whose language is unknown" in out
    assert "not read: 2 .m4a, 1 .amr; pip install 'mms-dist[av]' reads the usual ones, or convert such" in out
    assert "eng/zero.wav: the file is empty" in out
    # a file that is no utterance is counted, but builds nothing again
    lay_out(source, "eng/.DS_Store eng/notes.pdf")
    assert main(["shards", "build", str(source), str(tmp_path / "out"), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "unchanged since it was built" in out
    assert "notes.pdf" in out


def test_names_that_are_not_utf8_are_built_verified_and_printable(tmp_path, capsys):
    source = os.fsencode(tmp_path) + b"/caf\xe9"
    clip(folder_scan.Path(os.fsdecode(source + b"/eng/a\xff.wav")), "unu doi")
    clip(folder_scan.Path(os.fsdecode(source + b"/eng/b.wav")), "trei patru")
    clip(folder_scan.Path(os.fsdecode(source + b"/eng/c\xfe.wav")))
    shards = tmp_path / "out"
    assert main(["shards", "build", os.fsdecode(source), str(shards), "--workers", "1"]) == 0
    index = json.loads((shards / "eng" / "index.json").read_text())
    assert index["drops"]["missing_text"]["examples"] == [r"eng/c\xfe.wav"]
    assert main(["shards", "verify", str(shards), "--workers", "1"]) == 0
    capsys.readouterr()
    os.rename(source + b"/eng", source + b"/\xe9ng")
    assert main(["shards", "build", os.fsdecode(source), str(tmp_path / "o2"), "--workers", "1"]) == 2
    assert r"language code '\udce9ng'" in capsys.readouterr().err
    assert not (tmp_path / "o2").exists()
