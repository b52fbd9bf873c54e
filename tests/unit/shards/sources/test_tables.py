"""Tables of any format and with any names of columns give the same utterances."""

import json
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from launcher.cli import main
from shards.errors import SourceError
from shards.sources import manifest
from shards.sources.manifest_columns import parse_columns
from shards.sources.registry import read_source

ROWS = [
    {"clip": "a/1.mp3", "words": "nan", "who": "NA", "part": "train", "accent": "bănățean", "note": "x"},
    {"clip": "a/2.mp3", "words": 'El, zise: "da"; nu', "who": "null", "part": "dev", "accent": "", "note": "y"},
]
CHOICE = "audio=clip,text=words,speaker=who,split=part"
FOUND = [
    ("a/1.mp3", "nan", "NA", "train", {"accent": "bănățean"}),
    ("a/2.mp3", 'El, zise: "da"; nu', "null", "dev", None),
]


def write_table(path, rows, separator="\t"):
    """A table as a program writes that quotes only what must be."""

    def quoted(value):
        must = separator != "\t" and any(mark in value for mark in (separator, '"', "\n"))
        return '"{}"'.format(value.replace('"', '""')) if must else value

    lines = [list(rows[0]), *(row.values() for row in rows)]
    path.write_text("".join(separator.join(map(quoted, line)) + "\n" for line in lines), encoding="utf-8")
    return path


def write_any(folder, kind, rows):
    path = folder / f"corpus.{kind.partition('-')[0]}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind in ("jsonl", "ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        separator = {"tsv": "\t", "csv": ",", "csv-semicolons": ";", "csv-tabs": "\t", "csv-bars": "|"}[kind]
        write_table(path, rows, separator)
    return path


def facts(rows):
    return [(row.name, row.text, row.speaker, row.split, row.tags) for row in rows]


def write_clips(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_tables_of_a_folder_are_splits_and_languages(tmp_path):
    for language in ("ro", "it"):
        write_clips(tmp_path / language / "clips", ["0.wav", "1.wav"])
        for number, split in enumerate(("train", "dev")):
            write_table(tmp_path / language / f"{split}.csv", [{"path": f"clips/{number}.wav", "sentence": "a"}], ",")
    rows = read_source(tmp_path)
    assert [(row.language, row.split, row.name) for row in rows] == [
        ("ita", "dev", "it/clips/1.wav"),
        ("ita", "train", "it/clips/0.wav"),
        ("ron", "dev", "ro/clips/1.wav"),
        ("ron", "train", "ro/clips/0.wav"),
    ]
    (tmp_path / "ro" / "held-out.csv").write_text("path,sentence\nclips/0.wav,a\n")
    with pytest.raises(SourceError, match=r"held-out.csv is beside parts named as splits, but is not a known split"):
        read_source(tmp_path)


def test_a_folder_with_a_table_of_its_recordings_is_a_manifest(tmp_path):
    write_clips(tmp_path / "wav", ["0.wav", "1.wav"])
    write_table(tmp_path / "about.csv", [{"hours": "1", "licence": "CC0"}], ",")
    (tmp_path / "corpus.json").write_text(json.dumps([{"audio": f"wav/{n}.wav", "text": "a"} for n in range(2)]))
    rows = read_source(tmp_path, language="ron")
    assert [(row.name, row.split) for row in rows] == [("wav/0.wav", None), ("wav/1.wav", None)]
    assert "not read, since they have no columns for recordings and texts: about.csv" in rows.notes
    (tmp_path / "corpus.json").write_text(json.dumps([{"audio": "elsewhere/0.wav", "text": "a"}]))
    with pytest.raises(SourceError, match=r"folder 'wav' is named after a kind of file"):
        read_source(tmp_path)


def test_a_table_beside_another_source_does_not_change_its_kind(tmp_path):
    clips = tmp_path / "folder" / "ro"
    write_clips(clips, [f"{number}.wav" for number in range(4)])
    for number in range(4):
        (clips / f"{number}.txt").write_text("a")
    write_table(tmp_path / "folder" / "review.csv", [{"path": "ro/0.wav", "transcript": "b"}], ",")
    assert len(list(read_source(tmp_path / "folder"))) == 4
    write_clips(tmp_path / "kaldi", ["0.wav", "1.wav"])
    (tmp_path / "kaldi" / "wav.scp").write_text("k0 0.wav\nk1 1.wav\n")
    (tmp_path / "kaldi" / "text").write_text("k0 a\nk1 b\n")
    write_table(tmp_path / "kaldi" / "list.csv", [{"path": "0.wav", "text": "c"}], ",")
    assert [row.text for row in read_source(tmp_path / "kaldi", language="ron")] == ["a", "b"]


def test_all_tables_of_a_folder_are_read_however_many_files_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "LOOKED_AT", 3)
    write_clips(tmp_path / "clips", ["0.wav"])
    for split in ("train", "dev", "test"):
        write_table(tmp_path / f"{split}.csv", [{"path": "clips/0.wav", "sentence": split}], ",")
    (tmp_path / "config.json").write_text("{}")
    for number in range(20):
        (tmp_path / f"{number}.bin").touch()
    assert len(list(read_source(tmp_path, kind="manifest", language="ron"))) == 3


def test_a_table_of_something_else_does_not_hide_those_in_folders(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"licence": "CC0"}')
    write_clips(tmp_path / "ro", ["0.wav"])
    write_table(tmp_path / "ro" / "train.csv", [{"path": "0.wav", "sentence": "a"}], ",")
    rows = read_source(tmp_path)
    assert [(row.language, row.split) for row in rows] == [("ron", "train")]
    assert any("dataset_info.json" in note for note in rows.notes)


@pytest.mark.parametrize("kind", ["tsv", "csv", "csv-semicolons", "csv-tabs", "csv-bars", "jsonl", "ndjson", "parquet"])
def test_every_format_of_a_table_gives_the_same_rows(kind, tmp_path):
    path = write_any(tmp_path, kind, ROWS)
    rows = read_source(path, language="nan", columns=parse_columns(CHOICE))
    assert facts(rows) == FOUND
    assert {row.language for row in rows} == {"nan"}
    assert rows.notes == []
    assert next(iter(rows)).audio.path == tmp_path / "a/1.mp3"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_usual_names_of_columns_are_recognised_and_said(kind, tmp_path):
    usual = {"clip": "path", "words": "Sentence", "who": "client_id", "part": "subset", "accent": "accents"}
    rows = [{usual.get(name, name): value for name, value in row.items()} for row in ROWS]
    found = read_source(write_any(tmp_path, kind, rows), language="ron")
    assert facts(found) == FOUND
    (note,) = found.notes
    assert note.startswith("columns recognised by usual names: audio=path, text=Sentence, split=subset, speaker=client")


def test_our_own_names_come_before_usual_ones_and_columns_before_both(tmp_path):
    rows = [{"path": "p.wav", "audio": "a.wav", "sentence": "s", "text": "t", "lang": "ron"}]
    path = write_any(tmp_path, "csv", rows)
    assert [(row.name, row.text) for row in read_source(path)] == [("a.wav", "t")]
    (row,) = read_source(path, columns=parse_columns("audio=path,text=sentence"))
    assert (row.name, row.text) == ("p.wav", "s")


def test_a_table_without_a_header_has_columns_by_number(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text('a.wav\t12\tun "doi"\nb.wav\t13\ttrei\n')
    rows = read_source(path, language="ron", columns=parse_columns("audio=1,text=3,speaker=2"))
    assert [(row.name, row.text, row.speaker) for row in rows] == [("a.wav", 'un "doi"', "12"), ("b.wav", "trei", "13")]


def test_a_field_in_quotes_may_have_several_lines_in_a_csv(tmp_path):
    path = tmp_path / "m.csv"
    lines = ["audio,text,lang", 'a.wav,"un,', '""doi""",ron', 'b.wav,5" lat,ron', 'c.wav,\u2028 "x,ron']
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    rows = read_source(path)
    assert [row.text for row in rows] == ['un,\n"doi"', '5" lat', '\u2028 "x']
    assert [row.where for row in rows] == [f"{path}:{number}" for number in (2, 4, 5)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('x.wav,"Da" zise el,ron', 'm.csv:3: a field begins with " and does not end with it; write it in double'),
        ('x.wav,"un doi,ron', 'm.csv:3: a field begins with "'),
        (
            "x.wav,un,doi,ron",
            "m.csv:3: 4 comma-separated fields, the header has 3; write a field that contains a comma",
        ),
        ("x.wav,un", "m.csv:3: 2 comma-separated fields"),
    ],
)
def test_a_bad_line_of_a_csv_is_named_and_costs_no_other(line, message, tmp_path):
    path = tmp_path / "m.csv"
    good = "".join(f'{number}.wav,"un, {number}",ron\n' for number in range(100))
    path.write_text(f"audio,text,lang\n0.wav,zero,ron\n{line}\n{good}")
    with pytest.raises(SourceError, match=message):
        read_source(path)
    rows = read_source(path, skip_bad_rows=True)
    assert len(rows) == 101
    assert [item.line for item in rows.left_out] == [3]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            "audio=clip,text=wordz",
            r"no column 'wordz' \(did you mean 'words'\?\) \(--columns text=wordz\); found clip,",
        ),
        ("audio=clip", r"no column 'text'.*--columns text=COLUMN"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(kind, columns, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(write_any(tmp_path, kind, ROWS), language="ron", columns=parse_columns(columns))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio", "found 'audio', expected NAME=COLUMN"),
        ("audio=", "expected NAME=COLUMN"),
        ("txt=words", r"found 'txt=words' \(did you mean 'text'\?\)"),
        ("audio=a,audio=b", "audio is given twice"),
    ],
)
def test_a_choice_of_columns_that_is_none_is_refused(text, message, tmp_path, capsys):
    with pytest.raises(SourceError, match=message):
        parse_columns(text)
    assert main(["shards", "build", "m.tsv", "out", "--columns", text]) == 2
    assert "--columns" in capsys.readouterr().err


def test_a_comma_may_be_part_of_the_name_of_a_column():
    assert parse_columns("audio=file, name,text=a=b") == {"audio": "file, name", "text": "a=b"}


def test_a_parquet_table_that_is_damaged_or_holds_no_paths_is_refused(tmp_path):
    path = write_any(tmp_path, "parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"corpus.parquet is damaged, or in another format"):
        read_source(path)
    pq.write_table(pa.table({"audio": [b"RIFF"], "text": ["a"]}), path)
    with pytest.raises(SourceError, match=r"column 'audio' has no paths of recordings; .*--columns audio=COLUMN"):
        read_source(path, kind="manifest", language="ron")


def test_missing_values_of_a_parquet_table_are_not_texts(tmp_path):
    rows = [{"audio": "a.wav", "text": "un", "speaker": None, "age": 30}, {"audio": None, "text": "doi", "speaker": 7}]
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in ("audio", "text", "speaker", "age")})
    path = tmp_path / "m.parquet"
    pq.write_table(table, path)
    with pytest.raises(SourceError, match=r"m.parquet:2: 'audio' is empty"):
        read_source(path, language="ron")
    (row,) = read_source(path, language="ron", skip_bad_rows=True)
    assert (row.speaker, row.tags) == (None, {"age": "30"})


def test_a_source_refuses_an_option_that_it_does_not_use(tmp_path):
    path = write_any(tmp_path, "csv", ROWS)
    with pytest.raises(SourceError, match=r"--columns is for .*manifest.*, but .* is read as folder; leave it out"):
        read_source(tmp_path, columns={"audio": "clip"})
    with pytest.raises(SourceError, match=r"--split-from is for .*, but .*corpus.csv is read as manifest"):
        read_source(path, split_from="validated")


def test_a_table_may_come_through_a_pipe(tmp_path):
    path = write_any(tmp_path, "tsv", ROWS)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
        rows = list(
            read_source(
                f"/dev/fd/{cat.stdout.fileno()}", kind="manifest", language="ron", columns=parse_columns(CHOICE)
            )
        )
    assert facts(rows) == FOUND
