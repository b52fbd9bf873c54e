"""Every kind of tar gives the same samples to indexing, to reading, and where it can, to plain webdataset."""

import io
import os
import subprocess
import tarfile

import pytest

from shards.errors import ShardsError, TruncatedShardError
from shards.tars.headers import content, read_member
from shards.tars.spans import members_of, split_name
from shards.tars.survey import scan, survey


def tar_of(members, tar_format=tarfile.GNU_FORMAT, **header):
    """`members`: (name, data), or (name, "-> target") of a link, or (name, None) of a folder."""
    target = io.BytesIO()
    with tarfile.open(
        fileobj=target, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            for field, value in header.items():
                setattr(member, field, value)
            if data is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(data, str):
                member.type, member.linkname = tarfile.LNKTYPE, data.removeprefix("-> ")
            else:
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data) if isinstance(data, bytes) else None)
    return target.getvalue()


def samples_in(path):
    """Key to members of every sample, each read from its own bytes; of equal keys as many."""
    data = path.read_bytes()
    found = []
    for span in scan(path):
        members = members_of(data[span.offset : span.offset + span.size])
        assert tuple(members) == span.extensions
        found.append((span.key, {extension: bytes(member) for extension, member in members.items()}))
    return found


def write(folder, content):
    (folder / "any.tar").write_bytes(content)
    return folder / "any.tar"


A = [("a.wav", b"sound a"), ("a.txt", b"text a")]
B = [("b.wav", b"sound b" * 100), ("b.txt", b"text b")]
A_AND_B = [("a", {"wav": b"sound a", "txt": b"text a"}), ("b", {"wav": b"sound b" * 100, "txt": b"text b"})]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.wav", ("a", "wav")),
        ("./a.wav", ("./a", "wav")),
        ("/data/a.WAV", ("/data/a", "wav")),
        ("v1.0/a.wav", ("v1.0/a", "wav")),
        ("a.b.audio.wav", ("a", "b.audio.wav")),
        ("clips\\a.wav", ("clips\\a", "wav")),
        ("v1.0\\a.wav", ("v1.0\\a", "wav")),
        ("an__odd__name.wav", ("an__odd__name", "wav")),
        ("Pax.wav", ("Pax", "wav")),
        *[
            (name, None)
            for name in (
                "README",
                "d/LICENSE",
                ".DS_Store",
                "d/._a.wav",
                ".hidden.wav",
                "__MACOSX/a.wav",
                "d/__MACOSX/d/a.wav",
                "PaxHeader/a.wav",
                "./PaxHeaders.12/a.wav",
                "__info__/a.json",
                "v1.0/",
            )
        ],
    ],
)
def test_names_are_cut_as_by_webdataset_and_what_is_no_sample_has_no_key(name, expected):
    assert split_name(name) == expected


@pytest.mark.parametrize(
    "strangers",
    [
        [("README", b"x")],
        [("d", None), ("LICENSE", b"x"), (".DS_Store", b"")],
        [("._a.wav", b"Mac OS X"), ("__MACOSX/._a.wav", b"x")],
        [("PaxHeader/a.wav", b"30 mtime=1")],
    ],
)
def test_members_of_no_sample_change_nothing_wherever_they_lie(strangers, tmp_path):
    members = [*strangers, A[0], *strangers, A[1], *strangers, *B, *strangers]
    path = write(tmp_path, tar_of(members))
    assert samples_in(path) == A_AND_B
    skipped = [name for name, _ in survey(path).skipped]
    assert skipped == [name for name, data in strangers * 4 if data is not None]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("key", ["a", "d/" * 60 + "a", "n" * 96, "n" * 300, "./țară", "caf\udce9"])
def test_names_of_every_length_and_encoding_are_those_that_tarfile_reads(key, tar_format, tmp_path):
    if tar_format == tarfile.USTAR_FORMAT and len(key) > 130:
        key = "n" * 90
    path = write(tmp_path, tar_of([(f"{key}.wav", b"sound"), (f"{key}.txt", b"text")], tar_format, mtime=1.5))
    shown = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    assert samples_in(path) == [(shown, {"wav": b"sound", "txt": b"text"})]


def test_archives_that_follow_each_other_are_read_to_the_end(tmp_path):
    path = write(
        tmp_path, tar_of(A) + tar_of([("README", b"")]) + tar_of([]) + tar_of(B, tarfile.PAX_FORMAT, mtime=1.5)
    )
    assert samples_in(path) == A_AND_B


@pytest.mark.parametrize("between", [[], B])
@pytest.mark.parametrize(
    "join", [lambda first, second: tar_of([*first, *second]), lambda *two: b"".join(map(tar_of, two))]
)
def test_two_samples_with_the_same_key_are_two(between, join, tmp_path):
    again = [("a.wav", b"other sound"), ("a.txt", b"other text")]
    found = samples_in(write(tmp_path, join([*A, *between], again)))
    assert [members for key, members in found if key == "a"] == [
        {"wav": b"sound a", "txt": b"text a"},
        {"wav": b"other sound", "txt": b"other text"},
    ]


def test_a_sample_does_not_go_on_in_the_next_archive(tmp_path):
    with pytest.raises(ShardsError, match="members of sample 'a' are not adjacent"):
        scan(write(tmp_path, tar_of(A[:1]) + tar_of(A[1:])))


@pytest.mark.parametrize("rest", [b"signature" * 200, b"\1", bytes(700) + b"x"], ids=["long", "byte", "after zeros"])
def test_what_follows_the_last_archive_and_is_no_tar_is_told(rest, tmp_path):
    path = write(tmp_path, tar_of([*A, *B]) + rest)
    assert samples_in(path) == A_AND_B
    ((where, why),) = survey(path).skipped
    assert where.startswith("bytes ") and why == "they follow the end of the archive and are not a tar"


@pytest.mark.parametrize("gap", [b"\0" * 100, b"junk" * 300, b"x" * 512], ids=["zeros", "junk", "a block"])
def test_a_tar_behind_something_that_is_none_is_never_lost_without_a_word(gap, tmp_path):
    with pytest.raises(ShardsError, match=r"any.tar is damaged at byte [\d,]+ of [\d,]+: found no tar header"):
        scan(write(tmp_path, tar_of(A) + gap + tar_of(B)))


def test_a_block_of_zeros_over_a_header_is_damage_and_no_end(tmp_path):
    whole = tar_of([*A, *B])
    place = scan(write(tmp_path, whole))[1].offset
    with pytest.raises(ShardsError, match="is damaged at byte"):
        scan(write(tmp_path, whole[:place] + bytes(512) + whole[place + 512 :]))


@pytest.mark.parametrize("before", [b"", tar_of(A)], ids=["first", "second"])
def test_an_archive_cut_within_a_long_name_is_cut_short(before, tmp_path):
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        long = tar_of([("n" * 900 + ".wav", b"sound")], tar_format)
        with pytest.raises(TruncatedShardError, match="it was cut short"):
            scan(write(tmp_path, before + long[:700]))


def test_a_second_archive_that_is_cut_short_is_found(tmp_path):
    whole = tar_of(A) + tar_of(B)
    for length in (len(tar_of(A)) + 512, len(tar_of(A)) + 600, len(tar_of(A)) + 2048):
        with pytest.raises(TruncatedShardError, match=r"require at least .* .it was cut short"):
            scan(write(tmp_path, whole[:length]))


@pytest.mark.parametrize(
    ("beginning", "advice"),
    [
        (b"", r"is empty \(0 bytes\), expected a tar"),
        (b"\x1f\x8b\x08", "compressed with gzip; decompress it with 'gunzip'"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
        (b"\xfd7zXZ\0", "unxz"),
        (b"BZh91AY", "bunzip2"),
        (b"PK\x03\x04", "a ZIP archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b'{"error": 404}', "JSON, not a tar"),
        (b"RIFF" + bytes(900), "is not an uncompressed tar"),
    ],
)
def test_what_is_no_tar_is_told_by_its_beginning(beginning, advice, tmp_path):
    with pytest.raises(ShardsError, match=advice):
        scan(write(tmp_path, beginning))


def test_keys_with_dots_are_samples_of_their_own_where_the_names_tell(tmp_path):
    dotted = [(f"clip.{number}.{kind}", b"x") for number in ("01", "2.5") for kind in ("txt", "wav")]
    assert [span.key for span in scan(write(tmp_path, tar_of(dotted)))] == ["clip.01", "clip.2.5"]
    # Here webdataset's way is the only one that makes samples.
    other = [("x.audio.wav", b"x"), ("x.text.txt", b"x"), ("y.left.wav", b"x"), ("y.right.wav", b"x"), ("y.txt", b"x")]
    assert [span.key for span in scan(write(tmp_path, tar_of(other)))] == ["x", "y"]
    with_plain = [("z.wav", b"x"), ("z.txt", b"x"), ("z.noise.wav", b"x"), ("z.noise.json", b"x")]
    assert [span.key for span in scan(write(tmp_path, tar_of(with_plain)))] == ["z"]


def test_links_are_named_and_are_no_members(tmp_path):
    (_, linked) = scan(write(tmp_path, tar_of([*A, ("t.wav", "-> a.wav"), ("t.txt", b"x")])))
    assert (linked.extensions, linked.links) == (("txt",), ("t.wav -> a.wav",))


def gnu_tar():
    with_gnu = subprocess.run(["tar", "--version"], capture_output=True, text=True, check=False).stdout
    return "GNU tar" in with_gnu


@pytest.mark.skipif(not gnu_tar(), reason="needs GNU tar")
@pytest.mark.parametrize(
    "options",
    [
        *[["--format", name] for name in ("v7", "oldgnu", "gnu", "ustar", "pax")],
        ["--format=gnu", "-S"],
        *[["--format=pax", "-S", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")],
    ],
)
def test_every_format_of_gnu_tar_is_read_as_written_with_and_without_holes(options, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    files = {
        "a.txt": b"text",
        "a.wav": b"head" + bytes(20_000) + b"x" * 3000,
        # More holes than one header has room for.
        "b.wav": b"".join(bytes(8192) + bytes([number]) * 4096 for number in range(1, 40)) + bytes(9000),
        "b.txt": b"",
    }
    for name, data in files.items():
        with open(folder / name, "wb") as stream:
            for place in range(0, len(data), 4096):
                stream.seek(place)
                if data[place : place + 4096].strip(b"\0"):
                    stream.write(data[place : place + 4096])
            stream.truncate(len(data))
    command = ["tar", *options, "--sort=name", "-cf", tmp_path / "any.tar", "d"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = dict(samples_in(tmp_path / "any.tar"))
    assert {f"{key[2:]}.{kind}": data for key, members in found.items() for kind, data in members.items()} == files
    if "-S" in options:
        assert 2 * os.path.getsize(tmp_path / "any.tar") < sum(map(len, files.values()))


def test_a_size_beyond_8_gib_is_read_from_pax_and_base_256_headers():
    size = 9 << 30
    for tar_format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        member = tarfile.TarInfo("a.wav")
        member.size = size
        header = member.tobuf(tar_format)
        found = read_member(lambda offset, count, header=header: header[offset : offset + count], 0)
        assert (found.size, found.end) == (size, len(header) + size)


def test_a_header_that_contradicts_itself_is_refused_at_once(tmp_path):
    sound = tar_of(A)
    for first, value in (
        (124, b"77777777777\0"),  # 8 GiB in a file of 10 KiB
        (124, b"-0000000001\0"),
        (124, b"\xff" * 12),
        (124, b"999\0"),
        (148, b"xxxxxxxx"),
        (0, b"\xff" * 100),
    ):
        block = bytearray(sound[:512])
        block[first : first + len(value)] = value
        if first != 148:
            block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
        path = write(tmp_path, bytes(block) + sound[512:])
        if first == 0:
            assert len(scan(path)) == 1  # a name of any bytes is a name
        else:
            with pytest.raises(ShardsError):
                scan(path)


def test_the_content_of_a_member_that_ends_early_is_no_member():
    sound = tar_of(A)
    member = read_member(lambda offset, count: sound[offset : offset + count], 0)
    with pytest.raises(ValueError, match="it ends before byte"):
        content(lambda offset, count: sound[: member.data_offset + 3][offset : offset + count], member)
    with pytest.raises(ValueError):
        members_of(sound[:700][:515])
