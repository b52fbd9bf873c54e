"""Foreign tars are judged by all their samples: what is used, what is left out and why, and where transcripts are."""

import codecs
import errno
import gzip
import io
import json
import os
import tarfile

import pytest
import soundfile

from launcher.cli import main
from shards.errors import ShardsError, SourceError, StorageError
from shards.foreign import index_tars as foreign
from shards.foreign.find_tars import find_tars
from shards.foreign.index_tars import IndexOptions, index_language
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.text_rules import load_rules
from shards.verify import verify_shards
from tests.shard_samples import sound


def flac(number):
    target = io.BytesIO()
    soundfile.write(target, sound(0.5, seed=number), 16_000, format="FLAC")
    return target.getvalue()


FLAC = [flac(number) for number in range(3)]


def tar_of(members):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.REGTYPE if isinstance(data, bytes) else tarfile.LNKTYPE
            member.linkname = "" if isinstance(data, bytes) else data
            member.size = len(data) if isinstance(data, bytes) else 0
            archive.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return target.getvalue()


def write_tars(root, tars, code="ron"):
    """`tars`: name to members."""
    (root / code).mkdir(parents=True)
    for name, members in tars.items():
        (root / code / name).write_bytes(tar_of(members))


def as_json(**content):
    return json.dumps(content).encode()


def one(key, text, **members):
    """A sample with its text in .txt, or with other members than that."""
    return [(f"{key}.flac", FLAC[0]), *[(f"{key}.{kind}", data) for kind, data in (members or {"txt": text}).items()]]


GOOD = one("good", b"bun")


def index_of(root, code="ron", **options):
    """What the index holds, the lines that were noted, and the texts in order, each read and verified."""
    tars = find_tars(root, [], languages=[code], split=None, reindex=False).languages[code]
    notes = []
    index = index_language(
        root / code,
        code,
        tars,
        IndexOptions(load_rules(code), **options),
        pool=WorkerPool(1),
        advance=lambda: None,
        note=notes.append,
    )
    (found,) = verify_shards(str(root), None, workers=1, advance=lambda _: None)
    assert found.problems == []
    shards = ShardIndex.load(str(root))
    reader = ShardReader(shards)
    texts = [
        reader.read(code, split, row).text
        for split in shards.language(code).splits
        for row in range(len(shards.language(code).table(split)))
    ]
    counts = {reason: entry["count"] for reason, entry in index["drops"].items()}
    return index, counts, notes, texts


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("README", b"x")], "no_sample"),
        ([("README.md", b"x")], "no_sample"),
        ([("dataset_info.json", b'{"features": {}}')], "no_sample"),
        ([("broken.json", b"{")], "no_sample"),
        ([("LICENSE.txt", b"You may")], "incomplete"),
        ([(".DS_Store", b"\0\1")], "no_sample"),
        ([("picture.png", b"x"), ("picture.cls", b"3")], "no_sample"),
        (one("a", b"", json=b"{"), "broken_text"),
        (one("a", b"", json=b'{"text": "\xe9"}'), "broken_text"),
        (one("a", b"", json=b'["text"]'), "broken_text"),
        (one("a", b"", json=b'"text"'), "broken_text"),
        (one("a", b"", json=b""), "broken_text"),
        (one("a", b"", json=b"[" * 100_000), "broken_text"),
        (one("a", b"", json=b'{"text": "a", "n": ' + b"1" * 5000 + b"}"), "broken_text"),
        (one("a", b"", json=b'{"text": "a", "text": "b"}'), "broken_text"),
        (one("a", b"", json=b'{"text": NaN}'), "broken_text"),
        (one("a", b"", json=b'{"text": 7}'), "broken_text"),
        (one("a", b"", json=b'{"text": ["a"]}'), "broken_text"),
        (one("a", b"", json=b'{"text": "a \\ud800"}'), "broken_text"),
        (one("a", b"", json=b'{"text": null}'), "incomplete"),
        (one("a", b"", json=b'{"txt": "a"}'), "incomplete"),
        (one("a", b"", json=b'{"text": " "}'), "empty"),
        (one("a", "é".encode("latin-1")), "broken_text"),
        (one("a", "alfa".encode("utf-16-le")), "broken_text"),
        (one("a", b""), "empty"),
        (one("a", b"a" * (17 << 20)), "too_large"),
        ([("a.shn", b"x"), ("a.txt", b"x")], "unread_format"),
        ([("a.audio.ts", b"x"), ("a.json", as_json(text="x"))], "unread_format"),
        ([("a.npy", b"x"), ("a.txt", b"x")], "incomplete"),
        ([("a.flac", FLAC[0])], "incomplete"),
        ([("a.left.flac", FLAC[0]), ("a.right.flac", FLAC[1]), ("a.txt", b"x")], "incomplete"),
        ([("a.flac", FLAC[0]), ("a.one.json", as_json(text="x")), ("a.two.json", as_json(text="y"))], "incomplete"),
        ([("a.flac", "good.flac"), ("a.txt", b"x")], "link"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_can_not_be_used_is_left_out_by_reason_and_costs_nothing_else(members, reason, first, tmp_path):
    in_tar = [*members, *GOOD] if first else [*GOOD, *members]
    write_tars(tmp_path, {"train.tar": in_tar})
    _, counts, _, texts = index_of(tmp_path)
    assert (counts, texts) == ({reason: 1}, ["bun"])


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ({"txt": codecs.BOM_UTF8 + "șapte".encode()}, "șapte"),
        ({"txt": "șapte".encode("utf-16")}, "șapte"),
        ({"json": codecs.BOM_UTF8 + as_json(text="opt")}, "opt"),
        ({"json": '{"text": "șapte"}'.encode("utf-16")}, "șapte"),
        ({"json": b'{"text": "opt", "snr": NaN}'}, "opt"),
        ({"text.txt": b"opt"}, "opt"),
        ({"meta.json": as_json(sentence="opt")}, "opt"),
        ({"meta.json": b"{", "json": as_json(text="opt")}, "opt"),
        ({"TXT": b"OPT"}, "opt"),
        ({"json": as_json(text=None, sentence="opt")}, "opt"),
        ({"json": as_json(other="x"), "txt": b"opt"}, "opt"),
    ],
)
@pytest.mark.parametrize("normalise", [True, False])
def test_a_transcript_is_found_in_every_writing(member, text, normalise, tmp_path):
    write_tars(tmp_path, {"train.tar": one("a", b"", **member)})
    _, counts, _, texts = index_of(tmp_path, normalise=normalise)
    assert (counts, [found.lower() for found in texts]) == ({}, [text])


@pytest.mark.parametrize("name", ["x.audio.flac", "x.flac.flac", "X.FLAC", "./x.flac", "/abs/x.flac", "d\\x.flac"])
def test_a_recording_is_found_under_every_name(name, tmp_path):
    stem = name[: name.lower().index("x") + 1]
    write_tars(tmp_path, {"train.tar": [(name, FLAC[0]), (f"{stem}.txt", b"unu")]})
    assert index_of(tmp_path)[1:] == ({}, [], ["unu"])


def test_a_second_recording_is_counted_and_the_first_kind_is_read(tmp_path):
    members = [("a.wav", b"never looked at"), *one("a", b"unu")]
    write_tars(tmp_path, {"train.tar": members})
    assert index_of(tmp_path)[1:] == ({"second_audio": 1}, [], ["unu"])


def test_most_samples_choose_the_transcript_field_the_rest_keep_theirs(tmp_path):
    members = {
        "train-0.tar": [*one("a", b"", json=as_json(raw_text="RAW A"))],
        "train-1.tar": [
            *one("b", b"", json=as_json(text="b", raw_text="RAW B")),
            *one("c", b"", json=as_json(text="c", raw_text="RAW C")),
            *one("f", b"", json=as_json(text="f")),
        ],
        "train-2.tar": [*one("d", b"", json=as_json(sentence="d")), *one("e", b"e")],
    }
    write_tars(tmp_path, members)
    index, counts, (note,), texts = index_of(tmp_path)
    assert (counts, texts) == ({}, ["raw a", "b", "c", "f", "d", "e"])
    assert index["reading"]["text_fields"] == ["text", "sentence", "raw_text", None]
    assert note.startswith(
        "ron: transcripts come from the first field a sample has of 'text' (3), 'sentence' (1), 'raw_text' (1), .txt"
    )


def test_one_field_for_all_samples_is_written_as_ever(tmp_path):
    write_tars(tmp_path, {"train.tar": [*one("a", b"", json=as_json(sentence="unu")), *one("b", b"x", txt=b"")]})
    reading = index_of(tmp_path)[0]["reading"]
    assert (reading["text_field"], "text_fields" in reading) == ("sentence", True)
    (tmp_path / "ron" / "index.json").unlink()
    reading = index_of(tmp_path, text_field="sentence")[0]["reading"]
    assert (reading["text_field"], "text_fields" in reading) == ("sentence", False)


def test_a_field_that_was_named_is_the_only_one(tmp_path):
    write_tars(tmp_path, {"train.tar": [*one("a", b"", json=as_json(text="x", said="unu")), *GOOD]})
    _, counts, notes, texts = index_of(tmp_path, text_field="said")
    assert (counts, notes, texts) == ({"incomplete": 1}, [], ["unu"])
    (tmp_path / "ron" / "index.json").unlink()
    assert index_of(tmp_path, text_field=".txt")[1:] == ({"incomplete": 1}, [], ["bun"])


def test_samples_without_any_transcript_are_told_by_the_commonest_kind(tmp_path):
    odd = one("a", b"", cls=b"1")
    common = [member for key in "bcd" for member in one(key, b"", json=as_json(phrase="x", snr=1))]
    write_tars(tmp_path, {"train.tar": [("README.md", b"x"), *odd, *common]})
    like = r"for example train.tar:b \(3 are like it\): its members are flac, json, its JSON has phrase, snr"
    with pytest.raises(SourceError, match=f"in any of 4 samples of ron, {like}"):
        index_of(tmp_path)


@pytest.mark.parametrize(
    ("names", "kept", "noted"),
    [
        (["ron", "ita", "ron"], [0, 2], False),
        (["ro", "it", None], [0, 2], False),
        (["ro-RO", "RON", "ron_script"], [0, 1, 2], False),
        (["Romanian", "romanian", None], [0, 1, 2], False),
        (["ita", "ita", None], [0, 1, 2], True),
        (["ita", "fra", "deu"], [0, 1, 2], True),
    ],
)
@pytest.mark.parametrize("field", ["lang", "language", "locale"])
def test_samples_of_another_language_are_left_out_among_those_of_this_one(names, kept, noted, field, tmp_path):
    texts = ["unu", "doi", "trei"]
    members = [
        member
        for key, name, text in zip("abc", names, texts, strict=True)
        for member in one(key, b"", json=as_json(text=text, **({} if name is None else {field: name})))
    ]
    write_tars(tmp_path, {"train.tar": members})
    _, counts, notes, found = index_of(tmp_path)
    assert found == [texts[number] for number in kept]
    assert counts == ({"other_language": 3 - len(kept)} if len(kept) < 3 else {})
    assert [note.startswith("ron: the samples name their language ") for note in notes] == [True] * noted


def test_codes_that_may_mean_the_same_language_do_not_contradict(tmp_path):
    for code, names in {
        "arb": ["ar", "ara"],
        "swh": ["sw"],
        "cmn-script_simplified": ["zh-CN", "cmn"],
        "ekk": ["et"],
    }.items():
        members = [member for name in names for member in one(name, b"", json=as_json(text=f"a {name[:2]}", lang=name))]
        write_tars(tmp_path / code, {"train.tar": members}, code)
        assert index_of(tmp_path / code, code)[1] == {}


def test_two_samples_with_one_key_in_a_tar_and_in_another_are_all_indexed(tmp_path):
    texts = ["unu", "doi", "trei", "patru"]
    tars = [tar_of(one("000000", text.encode())) for text in texts]
    (tmp_path / "ron").mkdir()
    (tmp_path / "ron" / "train-0.tar").write_bytes(tars[0] + tars[1])
    (tmp_path / "ron" / "train-1.tar").write_bytes(tars[2])
    (tmp_path / "ron" / "dev.tar").write_bytes(tars[3])
    index, counts, _, found = index_of(tmp_path)
    assert (found, counts) == (texts, {})
    assert [len(index["splits"][split]["shards"]) for split in ("train", "dev")] == [2, 1]


def test_a_sample_that_is_there_twice_byte_for_byte_is_taken_once(tmp_path):
    write_tars(tmp_path, {"train-0.tar": [*GOOD, *one("a", b"unu"), *GOOD], "train-1.tar": [*GOOD, *one("a", b"doi")]})
    index, counts, _, texts = index_of(tmp_path)
    assert (counts, texts) == ({"duplicate": 2}, ["bun", "unu", "doi"])
    assert index["drops"]["duplicate"]["examples"][1] == "train-1.tar:good: the same bytes are in train-0.tar"


def test_a_tar_without_samples_is_as_none_and_an_empty_file_is_refused(tmp_path):
    write_tars(tmp_path, {"train-0.tar": [], "train-1.tar": GOOD})
    assert index_of(tmp_path)[1:] == ({}, [], ["bun"])
    (tmp_path / "ron" / "train-0.tar").write_bytes(b"")
    (tmp_path / "ron" / "index.json").unlink()
    with pytest.raises(ShardsError, match=r"train-0.tar is empty \(0 bytes\)"):
        index_of(tmp_path)


def test_tars_in_folders_of_splits_are_found_and_read(tmp_path):
    for name, text in (("train/0.tar", b"unu"), ("validation/0.tar", b"doi"), ("test/x/0.tar", b"trei")):
        (tmp_path / "ron" / name).parent.mkdir(parents=True)
        (tmp_path / "ron" / name).write_bytes(tar_of(one("a", text)))
    index, _, _, texts = index_of(tmp_path)
    assert texts == ["unu", "doi"]
    assert index["splits"]["dev"]["shards"][0]["name"] == "validation/0.tar"


def test_tars_below_others_are_left_alone_with_a_note(tmp_path):
    write_tars(tmp_path, {"train.tar": GOOD})
    (tmp_path / "ron" / "old").mkdir()
    (tmp_path / "ron" / "old" / "train.tar").write_bytes(tar_of(GOOD))
    (tmp_path / "ron" / "._train.tar").write_bytes(b"Mac OS X")
    _, counts, (note,), texts = index_of(tmp_path)
    assert (counts, texts) == ({}, ["bun"]) and "1 tar in folders below not indexed, for example old/train.tar" in note


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("train.tar.gz", "gunzip"),
        ("train.tgz", "gunzip"),
        ("train.tar.zst", "unzstd"),
        ("TRAIN.TAR.XZ", "unxz"),
        ("train.tar.bz2", "bunzip2"),
        ("train.zip", "write its files again with 'tar --sort=name -cf'"),
    ],
)
def test_packed_archives_are_told_how_to_be_unpacked(name, advice, tmp_path):
    (tmp_path / "ron").mkdir()
    (tmp_path / "ron" / name).write_bytes(gzip.compress(tar_of(GOOD)))
    with pytest.raises(SourceError, match=rf"1 packed archive, whose .*/ron/{name}: .*{advice}"):
        find_tars(tmp_path, [], languages=[], split=None, reindex=False)
    (tmp_path / "ron" / "train-2.tar").write_bytes(tar_of(GOOD))
    assert index_of(tmp_path)[1:] == ({"packed": 1}, [], ["bun"])


def test_a_packed_archive_that_lies_there_unpacked_as_well_is_not_counted(tmp_path):
    write_tars(tmp_path, {"train.tar": GOOD})
    (tmp_path / "ron" / "train.tar.gz").write_bytes(gzip.compress(tar_of(GOOD)))
    assert index_of(tmp_path)[1] == {}


def test_tars_beside_the_folders_of_languages_are_told_how_to_be_indexed(tmp_path):
    (tmp_path / "train.tar").write_bytes(tar_of(GOOD))
    with pytest.raises(SourceError, match=r"1 tar in .* itself, expected them in .*/<language>/; .* --lang CODE"):
        find_tars(tmp_path, [], languages=[], split=None, reindex=False)


def test_names_of_members_that_are_not_utf_8_are_shown_and_of_tars_refused(tmp_path):
    (tmp_path / "ron").mkdir()
    content = tar_of(one("caf_", b"unu")).replace(b"caf_", b"caf\xe9")
    fixed = bytearray(content)
    for place in range(0, len(fixed), 512):
        if fixed[place : place + 4] == b"caf\xe9":
            block = fixed[place : place + 512]
            fixed[place + 148 : place + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    (tmp_path / "ron" / "train.tar").write_bytes(fixed)
    assert index_of(tmp_path)[3] == ["unu"]
    assert ShardIndex.load(str(tmp_path)).language("ron").table("train").keys.tolist() == ["caf\\xe9"]
    os.rename(tmp_path / "ron" / "train.tar", os.fsencode(tmp_path / "ron") + b"/train-\xff.tar")
    found = find_tars(tmp_path, [], languages=[], split=None, reindex=True)
    assert r"the name of train-\xff.tar is not UTF-8" in found.failed["ron"].found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train-{0..", "x"], "Unbalanced braces"),
        (["train.tar", "./train.tar"], "is named twice"),
        (["nowhere-train.tar"], "no tar "),
    ],
)
def test_names_that_can_not_be_meant_are_refused(given, message, tmp_path, monkeypatch):
    write_tars(tmp_path, {"train.tar": GOOD})
    monkeypatch.chdir(tmp_path / "ron")
    with pytest.raises(SourceError, match=message):
        tars = find_tars(tmp_path, given, languages=["ron"], split=None, reindex=False).languages["ron"]
        index_language(
            tmp_path / "ron", "ron", tars, IndexOptions(load_rules("ron")), pool=WorkerPool(1), advance=lambda: None
        )


def test_an_unwritable_folder_is_found_before_anything_is_read(tmp_path, monkeypatch, capsys):
    write_tars(tmp_path, {"train.tar": GOOD})
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "access", lambda place, mode: False)  # tests may run as root, who may write everywhere
    monkeypatch.setattr(foreign, "survey_tar", None)
    assert main(["shards", "index", str(tmp_path), "--workers", "1"]) == 2
    told = capsys.readouterr().err
    assert f"the folder {tmp_path}/ron is not writable" in told
    assert "mms-dist shards index OTHER_FOLDER TAR … --lang ron" in told
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("call", range(1, 4))
def test_a_disk_that_fills_up_keeps_the_index_that_was_there(call, tmp_path, monkeypatch):
    write_tars(tmp_path, {"train.tar": GOOD})
    index_of(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "ron").iterdir()}
    tars = find_tars(tmp_path, [], languages=[], split=None, reindex=True).languages["ron"]
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    options = IndexOptions(load_rules("ron"), normalise=False)
    with pytest.raises(StorageError, match=r"cannot be written to .*/ron: No space left on device; nothing was kept"):
        index_language(tmp_path / "ron", "ron", tars, options, pool=WorkerPool(1), advance=lambda: None)
    assert {path: path.read_bytes() for path in (tmp_path / "ron").iterdir()} == before
