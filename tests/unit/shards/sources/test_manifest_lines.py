"""Every line of a manifest is used, refused with its number, or counted by reason: none is read as what it is not."""

import codecs
import json
import re
import unicodedata
from collections import Counter

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.cli import main
from launcher.slurm.language_groups import utterances_by_language
from shards.build.plan import plan_languages
from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.shard_samples import WORDS, sound

HEADER = "audio\ttext\tlang\n"
LINES = [f"{number}.wav\tun {WORDS[number]}\tron" for number in range(4)]
TSV = HEADER + "\n".join(LINES) + "\n"
OBJECTS = [{"audio": f"{number}.wav", "text": f"un {WORDS[number]}", "lang": "ron"} for number in range(4)]
JSONL = "".join(json.dumps(fields) + "\n" for fields in OBJECTS)


def manifest_of(folder, content, name="m.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts_of(folder, content, **options):
    return [row.text for row in read_source(manifest_of(folder, content), **options)]


@pytest.mark.parametrize("name", ["m.tsv", "m.jsonl", "M.TSV"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\n \n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_end_as_on_any_system_and_a_byte_order_mark_is_no_text(mark, end, name, tmp_path):
    content = (JSONL if name.endswith("l") else TSV).replace("\n", end)
    rows = read_source(manifest_of(tmp_path, mark + content.encode(), name))
    assert [row.text for row in rows] == [f"un {WORDS[number]}" for number in range(4)]
    line = 1 if name.endswith("l") else 2 + end.count("\n", 1) * (end != "\r\n")
    assert next(iter(rows)).where == f"{tmp_path / name}:{line}"


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('"audio"\t"text"\t"lang"\n"0.wav"\t"un"\t"ron"\n', ["un"]),
        (HEADER + '"0.wav"\tun "doi" trei\tron\n', ['un "doi" trei']),
        (HEADER + '0.wav\t"zise ""da"" el"\tron\n1.wav\tnu\tron\n', ['zise "da" el', "nu"]),
        (HEADER + '0.wav\t"un\tdoi"\tron\n1.wav\tnu\tron\n', ["un\tdoi", "nu"]),
        (HEADER + '0.wav\t"Da."\tron\n1.wav\tnu\tron\n', ["Da.", "nu"]),
        (HEADER + '0.wav\t"Da."\tron\n1.wav\t"Nu", zise el\tron\n', ['"Da."', '"Nu", zise el']),
        (HEADER + '0.wav\t"Da."\tron\n1.wav\tEl: "Nu"\tron\n', ['"Da."', 'El: "Nu"']),
        (HEADER + '0.wav\t"\tron\n1.wav\t5" lat\tron\n', ['"', '5" lat']),
    ],
)
def test_quotes_enclose_fields_or_are_letters_by_all_lines_of_the_file(content, texts, tmp_path):
    assert texts_of(tmp_path, content) == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('"audio"\t"text"\t"lang"\n"0.wav"\t"un" doi\t"ron"\n', r"m.tsv:2: a field begins with \" and does not end"),
        (HEADER + '"0.wav"\tun\tron\n1.wav\t"un\n doi"\tron\n', "m.tsv:3: a field begins with"),
        (HEADER + '1.wav\t"un\n doi"\tron\n', "m.tsv:2: 2 tab-separated fields.*in double quotes must end on its line"),
        ('"audio\ttext\tlang\n', "m.tsv:1: a column name begins with"),
        ("audio\ttext\tlang\ttext\n0.wav\ta\tron\tb\n", "m.tsv:1: column 'text' is given twice"),
        ("audio\ttext\tlang\tage\tage\n0.wav\ta\tron\t\t\n", "m.tsv:1: column 'age' is given twice"),
        (
            "auido\ttext\tlang\n",
            "m.tsv:1: no column 'audio'; for 'audio' .did you mean 'auido'.*--columns audio=COLUMN",
        ),
        ("path\ttranscription\n0.wav\ta\n", "m.tsv:1: no column 'lang'; found path, transcription; .*--lang gives"),
        ("audio\ttext\tage\tgender\n0.wav\ta\t\t\n", "no column 'lang'; found"),
        (HEADER.encode() + b"0.wav\t\xe9\tron\n", "m.tsv:2: is not UTF-8: .*0xe9 at byte 7; .*iconv -f LATIN1"),
        (HEADER + "0.wav\ta\0b\tron\n", "m.tsv:2: 'text' contains a NUL character"),
        (HEADER + f"0.wav\t{'a' * 140_000}\tron\n", "m.tsv:2: 'text' has 140,000 characters, expected at most"),
        (HEADER + f"0.wav\ta\t{'r' * 99}\n", r"m.tsv:2: 'lang' is 'r+…, which is too long"),
        (HEADER + f"{'a' * 252}.wav\ta\tron\n", "m.tsv:2: 'audio' is longer than a path can be"),
        (HEADER + f"{'ab/' * 1400}a.wav\ta\tron\n", "m.tsv:2: 'audio' is longer than a path can be"),
        (HEADER + "https://host/0.wav\ta\tron\n", "m.tsv:2: 'audio' is a URL, .*: download the recordings"),
        (HEADER + "s3://bucket/0.wav\ta\tron\n", "m.tsv:2: 'audio' is a URL, .*: download the recordings"),
        (HEADER + "file:///0.wav\ta\tron\n", "m.tsv:2: 'audio' is a URL, .*: write the path alone"),
        (TSV.encode("utf-16"), "is UTF-16, or not text.*iconv -f UTF-16 -t UTF-8"),
        (TSV.encode("utf-16-be"), "is UTF-16, or not text"),
        (b"\x1f\x8b\x08\0", "is compressed with gzip"),
        (b"PK\x03\x04", "is a ZIP archive.*or save a spreadsheet as .tsv"),
    ],
)
def test_a_tsv_that_would_be_misread_is_refused_with_its_line(content, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(manifest_of(tmp_path, content))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"audio": "0.wav", "text": "a", "text": "b", "lang": "ron"}', "key 'text' is given twice"),
        ('{"audio": "0.wav", "text": "a", "lang": "ron", "x": {"y": 1, "y": 2}}', "key 'y' is given twice"),
        (r'{"audio": "0.wav", "text": "a \ud83d", "lang": "ron"}', r"'text' contains half of a surrogate .*, \\ud83d"),
        (r'{"audio": "0.wav", "text": "\udc00a", "lang": "ron"}', r"'text' contains half of a surrogate pair, \\udc00"),
        (r'{"audio": "0\udce9.wav", "text": "a", "lang": "ron"}', "'audio' contains half of a surrogate pair"),
        (r'{"audio": "0.wav", "text": "a", "lang": "ron", "speaker": "\ud800"}', "'speaker' contains half"),
        (r'{"audio": "0.wav", "text": "a", "lang": "ron", "source": "\ud800"}', "'source' contains half"),
        (r'{"audio": "0.wav", "text": "a", "lang": "\ud800"}', "'lang' contains half"),
        (r'{"\ud800": "0.wav", "text": "a", "lang": "ron"}', r"no column 'audio'; found \\ud800"),
        (r'{"audio": "0\u0000.wav", "text": "a", "lang": "ron"}', "'audio' contains a NUL character"),
        ("[" * 100_000, "objects or lists within each other, far too deep"),
        ('{"a":' * 100_000, "objects or lists within each other, far too deep"),
        ('{"audio": "0.wav", "text": "a", "lang": "ron", "start": true}', "'start' is True, expected seconds"),
        ('{"audio": "0.wav", "text": "a", "lang": "ron", "end": 1%s}' % ("0" * 400), "'end' is 10+…, expected seconds"),
        ('{"audio": "0.wav", "text": "a", "lang": "ron", "end": 1%s}' % ("0" * 5000), "not JSON"),
        ('{"audio": "0.wav", "text": ["a"], "lang": "ron"}', "'text' is .'a'., expected a string"),
    ],
)
def test_a_line_of_a_jsonl_that_would_be_misread_is_refused_or_counted(line, message, tmp_path):
    path = manifest_of(tmp_path, JSONL + line + "\n" + JSONL, "m.jsonl")
    with pytest.raises(SourceError, match=f"m.jsonl:5: {message}.*--skip-bad-rows"):
        read_source(path)
    rows = read_source(path, skip_bad_rows=True)
    assert len(rows) == 8
    (left_out,) = rows.left_out
    assert (left_out.line, left_out.drop.example.startswith("m.jsonl:5: ")) == (5, True)
    left_out.drop.example.encode()


def test_whole_surrogate_pairs_are_characters(tmp_path):
    path = manifest_of(tmp_path, r'{"audio": "0.wav", "text": "\ud835\udc00", "lang": "ron"}', "m.jsonl")
    assert next(iter(read_source(path))).text == "\U0001d400"


def test_bad_rows_are_counted_by_reason_and_line_only_where_asked(tmp_path, capsys):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", sound(0.6, seed=number), 16_000)
    bad = ["4.wav\tpatru", "4.wav\tpatru\tno", "4.wav\tpatru\tron\textra", "ftp://x/4.wav\tpatru\tron"]
    path = manifest_of(tmp_path, (TSV + "\n".join(bad) + "\n").encode() + b"4.wav\t\xff\tron\n")
    output = tmp_path / "out"
    command = ["shards", "build", str(path), str(output), "--workers", "1"]
    assert main(command) == 2
    assert (
        "m.tsv:6: 2 tab-separated fields, the header has 3; leave such lines out with --skip-bad-rows"
        in capsys.readouterr().err
    )
    assert not output.exists()
    assert main([*command, "--skip-bad-rows"]) == 0
    out = capsys.readouterr().out
    for line in ("row_fields: 2 lines of m.tsv (6, 8)\n", "row_value: 2 lines of m.tsv (7, 9)\n"):
        assert f"skipped as {line}" in out
    assert "skipped as row_encoding: 1 line of m.tsv (10)\n" in out
    assert "(unknown): 4 left out whose language is unknown" in out
    drops = json.loads((output / "ron" / "index.json").read_text())["drops"]
    assert {reason: entry["count"] for reason, entry in drops.items()} == {"row_value": 1}
    assert "m.tsv:9: 'audio' is a URL" in drops["row_value"]["examples"][0]
    assert utterances_by_language(read_source(path, skip_bad_rows=True)) == {"ron": 4}
    assert Counter(item.language for item in read_source(path, language="ron", skip_bad_rows=True).left_out) == {
        "ron": 4,
        None: 1,
    }


def test_a_manifest_of_bad_rows_alone_and_a_bad_header_are_never_skipped(tmp_path):
    with pytest.raises(SourceError, match=r"no utterances but 2 bad rows, the first: m.tsv:2: 2 tab-separated"):
        read_source(manifest_of(tmp_path, HEADER + "0.wav\ta\n1.wav\tb\n"), skip_bad_rows=True)
    with pytest.raises(SourceError, match=r"m.tsv:1: no column 'text'"):
        read_source(manifest_of(tmp_path, "audio\tlang\n0.wav\tron\n"), skip_bad_rows=True)


def test_a_text_that_goes_on_in_the_next_line_is_not_cut(tmp_path):
    lines = ["audio\tlang\ttext", '0.wav\tron\t"un', "", 'doi"', "1.wav\tron\ttrei", "2.wav\tron\tpatru", "cinci"]
    path = manifest_of(tmp_path, "\n".join(lines))
    with pytest.raises(SourceError, match=r"m.tsv:2: line 4 has no tab and may be the rest of this text"):
        read_source(path)
    rows = read_source(path, skip_bad_rows=True)
    assert [row.text for row in rows] == ["trei"]
    assert [(item.drop.reason, item.line) for item in rows.left_out] == [("row_fields", line) for line in (2, 4, 6, 7)]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("name", ["m.json", "m.jsonl"])
def test_an_array_of_objects_is_read_as_lines_are(name, indent, tmp_path):
    objects = [*OBJECTS, {"audio": "3.wav", "text": 'a } ] "b', "lang": "ron", "words": [{"start": 0}, {}]}]
    path = manifest_of(tmp_path, "\n" + json.dumps(objects, indent=indent) + "\n", name)
    rows = read_source(path)
    lines = read_source(manifest_of(tmp_path, "".join(json.dumps(each) + "\n" for each in objects), "lines.jsonl"))
    assert [(row.name, row.text) for row in rows] == [(row.name, row.text) for row in lines]
    written = enumerate(path.read_text().splitlines(), start=1)
    begins = [number for number, line in written if indent and line == " " * indent + "{"] or [2] * len(objects)
    assert [row.where for row in rows] == [f"{path}:{number}" for number in begins]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n{"audio": "0.wav", "text": "a", "lang": "ron"},\n{"audio": ', "m.json:3: not JSON: this begins an object"),
        ('[\n{"audio": "0.wav", "text": "a", "lang": "ron"}', "m.json:3: not JSON: this begins an object"),
        ('[\n{"audio": "0.wav", "text": "a", "lang": "ron"}\n]\n[]', "m.json:4: not JSON: .*follows the end"),
        ('[{"audio": "0.wav", "text": "a", "lang": "ron"},\n["x"]]', "m.json:2: expected one object per line"),
        ('[{"audio": "0.wav", "text": "a", "lang": "ron"},\n{"text": "a", "text": "b"}]', "m.json:2: key 'text' is"),
        ("[" * 100_000, "m.json:1: not JSON"),
    ],
)
def test_a_damaged_array_is_named_with_its_line(content, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(manifest_of(tmp_path, content, "m.json"), kind="manifest", language="ron")


def test_ids_in_place_of_paths_find_their_recordings(tmp_path):
    for name in ("a.1.flac", "b.wav", "b.mp3"):
        (tmp_path / name).write_bytes(b"x")
    path = manifest_of(tmp_path, "a.1\tunu\nb\tdoi\nc\ttrei\n", "line_index.tsv")
    rows = read_source(path, language="ron", columns={"audio": "1", "text": "2"})
    assert [row.name for row in rows] == ["a.1.flac", "b.wav", "c"]


def test_paths_of_windows_are_found(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("clips/0.wav", "clips\\1.wav"):
        (tmp_path / name).write_bytes(b"x")
    rows = read_source(manifest_of(tmp_path, "audio\ttext\tlang\nclips\\0.wav\ta\tron\nclips\\1.wav\tb\tron\n"))
    assert [row.name for row in rows] == ["clips/0.wav", "clips\\1.wav"]
    assert all(row.audio.check().missing is None for row in rows)


def test_names_that_look_equal_are_found_and_two_that_do_are_refused(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "pâine") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / f"{composed}.wav").write_bytes(b"x")
    (tmp_path / decomposed / "plain.wav").write_bytes(b"x")
    names = [f"{composed}/{decomposed}.wav", f"{decomposed}/{composed}.wav", f"{composed}/plain.wav"]
    path = manifest_of(tmp_path, HEADER + "".join(f"{name}\tunu\tron\n" for name in names))
    rows = read_source(path)
    assert [row.audio.path.is_file() for row in rows] == [True] * 3
    assert [row.name for row in rows] == names
    (plan,) = plan_languages(rows, dev_fraction=0, test_fraction=0, skip_missing_audio=True)
    assert (plan.total, plan.drops["duplicate"]) == (2, 1)  # the first two names are those of one file
    (tmp_path / decomposed / f"{decomposed}.wav").write_bytes(b"y")
    for name in names[:2]:
        with pytest.raises(SourceError, match=r"m.tsv:2: .* contains 2 files whose names look alike"):
            read_source(manifest_of(tmp_path, HEADER + f"{name}\tunu\tron\n"))
    (gone,) = read_source(manifest_of(tmp_path, HEADER + f"{composed}/{composed}2.wav\tunu\tron\n"))
    assert not gone.audio.path.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("._m.tsv", "is a macOS metadata file .AppleDouble.; use m.tsv instead"),
        ("m.xlsx", "save the table as text with tabs between its columns"),
        ("m.json", "or an array of objects, name their keys: --from manifest --columns audio=KEY,text=KEY"),
        ("nowhere", "no file or folder nowhere"),
        ("x" * 300, "no file or folder"),
        ("https://host/m.tsv", "https://host/m.tsv is a URL, .*download it first"),
    ],
)
def test_what_is_no_manifest_is_named_with_the_way_to_one(name, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name.endswith(("tsv", "xlsx", "json")) and ":" not in name:
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert main(["shards", "build", name, "out"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(SourceError, match=message):
        read_source(name)


@pytest.mark.parametrize(
    ("audio", "why"),
    [("clips\\a.wav", "write paths with /, not with"), ("link.wav", "it is a link to gone.wav"), (".", "a folder")],
)
def test_a_missing_recording_says_what_is_there_instead(audio, why, tmp_path):
    (tmp_path / "link.wav").symlink_to("gone.wav")
    path = manifest_of(tmp_path, HEADER + f"{audio}\tunu\tron\n")
    (problem,) = plan_languages(read_source(path), dev_fraction=0.1, test_fraction=0.1).failed.values()
    assert re.search(f"1 recording missing.*m.tsv:2; .*{why}", str(problem))


# Words and marks of both formats, and bytes that break them.
_WORDS = '\t|\n|\r|"|""|{|}|[|:|,|ron|0.wav|"audio"|"text"|"lang"|1e999|-1|NaN|true|null|é|://|\\ud83d'
PIECES = [*_WORDS.encode().split(b"|"), b"\0", b"\xff", b"\xed\xa0\xbd"]


@st.composite
def mutated(draw):
    """A good manifest with some bytes taken out or put in, or bytes of any kind."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(draw(st.sampled_from([TSV, JSONL])).encode())
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 12))] = draw(st.sampled_from(PIECES))
    return bytes(content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=mutated(), name=st.sampled_from(["f.tsv", "f.jsonl"]), skip=st.booleans())
def test_no_manifest_gives_anything_but_rows_or_an_error_that_names_it(content, name, skip, tmp_path):
    path = manifest_of(tmp_path, content, name)
    try:
        rows = read_source(path, language="ron", skip_bad_rows=skip)
    except SourceError as error:
        assert name in str(error)
        str(error).encode()
        return
    lines = len(content.splitlines())
    left_out = list(rows.left_out)
    assert 0 < len(rows) + len(left_out) <= lines
    assert skip or not left_out
    json.dumps([[row.name, row.text, row.speaker, row.source] for row in rows], ensure_ascii=False).encode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=mutated(), name=st.sampled_from(["f.tsv", "f.jsonl"]))
def test_no_manifest_makes_the_command_leave_anything_or_show_a_traceback(content, name, tmp_path, capsys):
    path = manifest_of(tmp_path, content, name)
    status = main(
        ["shards", "build", str(path), str(tmp_path / "out"), "--lang", "ron", "--workers", "1", "--skip-bad-rows"]
    )
    err = capsys.readouterr().err
    assert status == 2
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
