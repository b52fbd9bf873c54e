"""Whatever is in tars, their JSON or the files of an index: it is read right or refused by name, and nothing is left
half-written."""

import contextlib
import io
import itertools
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.doctor.checks.shards import unusual_text
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.errors import MmsDistError
from shards.display.summary import duration_histogram, durations_of, summary_table, vocabulary_lines
from shards.errors import DamagedSampleError, ShardsError, TruncatedShardError
from shards.foreign.find_tars import ForeignTar
from shards.foreign.index_tars import IndexOptions, index_language
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.splits import SPLITS
from shards.text_rules import load_rules
from shards.verify import verify_shards
from tests.shard_samples import build, sentence, sound, write_corpus
from tests.training import toy_config

TOLD = (ShardsError, MmsDistError)
OPTIONS = IndexOptions(load_rules("ron"))
FEW = settings(
    max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = itertools.count()


def flac(number):
    target = io.BytesIO()
    soundfile.write(target, sound(0.4, seed=number), 16_000, format="FLAC")
    return target.getvalue()


AUDIO = [flac(number) for number in range(3)]


class Damaged:
    """Bytes that are shown by how they came about."""

    def __init__(self, content, *how):
        self.content, self.how = bytes(content), how

    def __repr__(self):
        return f"Damaged({', '.join(map(repr, self.how))})"


def tar_of(members, tar_format=tarfile.GNU_FORMAT):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tar_format) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def samples(numbers, prefix="s"):
    for number in numbers:
        text = json.dumps({"text": sentence(number, 2), "lang": "ron", "speaker": "a"}).encode()
        yield from ((f"{prefix}{number}.flac", AUDIO[number]), (f"{prefix}{number}.json", text))


SOUND_TARS = [
    tar_of(samples(range(3))),
    tar_of(samples(range(2), prefix="n" * 120), tarfile.PAX_FORMAT),
    tar_of([("README", b"x"), *samples(range(1))]) + tar_of(samples(range(1, 3), prefix="l" * 140)),
]


def fresh(folder):
    """A folder of another name for each example, since a process remembers indexes by their folder."""
    for old in folder.iterdir():
        shutil.rmtree(old)
    return folder / str(next(NUMBERS))


def index_of(content, folder):
    """Index one tar; the keys, or None if it is refused. Either way nothing else is left, and what is indexed is
    read."""
    root = fresh(folder)
    folder = root / "ron"
    folder.mkdir(parents=True)
    (folder / "train.tar").write_bytes(content)
    tars = [ForeignTar("train.tar", str(folder / "train.tar"), "train")]
    try:
        index = index_language(folder, "ron", tars, OPTIONS, pool=WorkerPool(1), advance=lambda: None)
    except ShardsError as error:
        assert len(str(error)) < 1500
        assert [path.name for path in folder.iterdir()] == ["train.tar"]
        return None
    assert {path.name for path in folder.iterdir()} == {"train.tar", "index.json", "samples.parquet", "vocab.json"}
    (found,) = verify_shards(str(root), None, workers=1, advance=lambda _: None)
    assert found.problems == []
    assert found.utterances == index["splits"]["train"]["samples"] > 0
    return ShardIndex.load(str(root)).language("ron").table("train").keys.tolist()


def header_places(content):
    return [place for place in range(0, len(content), 512) if content[place + 257 : place + 262] == b"ustar"]


def with_checksum(block):
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


@st.composite
def damaged_tars(draw):
    """Bytes changed, cut out, put in or doubled, in headers more than elsewhere, and often with the checksum right."""
    number = draw(st.integers(0, len(SOUND_TARS) - 1))
    content = bytearray(SOUND_TARS[number])
    steps = [number]
    for _ in range(draw(st.integers(1, 4))):
        how = draw(st.sampled_from(["header", "header", "kind", "byte", "cut", "zero", "repeat", "insert"]))
        places = header_places(content)
        place = draw(st.integers(0, max(0, len(content) - 1)))
        if how in ("header", "kind") and places:
            place = draw(st.sampled_from(places))
            block = bytearray(content[place : place + 512])
            if how == "kind":
                block[156:157] = draw(
                    st.sampled_from([b"0", b"\0", b"1", b"2", b"5", b"7", b"L", b"K", b"x", b"g", b"S"])
                )
            else:
                first = draw(st.sampled_from([0, 99, 124, 148, 156, 257, 345, 386, 482, 483]))
                new = draw(st.binary(min_size=1, max_size=12) | st.just(b"\xff" * 12) | st.just(b"77777777777\0"))
                block[first : first + len(new)] = new
            if draw(st.booleans()):
                block = with_checksum(bytes(block))
            content[place : place + 512] = block
            steps.append((how, place, bytes(block).rstrip(b"\0")))
            continue
        elif how == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif how == "cut":
            del content[place : place + draw(st.sampled_from([1, 100, 512, 1024, 10**9]))]
        elif how == "zero":
            place = place // 512 * 512
            content[place : place + 512] = bytes(len(content[place : place + 512]))
        elif how == "repeat":
            place = place // 512 * 512
            content[place:place] = content[place : place + draw(st.sampled_from([512, 1024, 10**9]))]
        elif how == "insert":
            content[place:place] = draw(st.binary(max_size=40) | st.just(bytes(512)))
        steps.append((how, place))
    return Damaged(content, *steps)


@FEW
@given(damaged=damaged_tars() | st.binary(max_size=2000).map(Damaged))
def test_any_tar_is_read_right_or_refused(damaged, tmp_path):
    index_of(damaged.content, tmp_path)


def test_the_tars_that_are_damaged_here_are_sound(tmp_path):
    assert [len(index_of(content, tmp_path)) for content in SOUND_TARS] == [3, 2, 3]


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["text", "sentence", "lang", "language", "speaker", "cls", "raw_text"]) | st.text(max_size=4)
json_members = st.one_of(
    st.dictionaries(keys, any_json, max_size=5).map(lambda content: json.dumps(content).encode()),
    any_json.map(lambda content: json.dumps(content).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [b"[" * 50_000, b'{"text": ' * 20_000, b'{"text": "a", "n": ' + b"9" * 5000 + b"}", b'{"text": 1e999}']
    ),
)


@settings(FEW, max_examples=50)
@given(member=json_members, extension=st.sampled_from(["json", "txt", "meta.json", "JSON"]))
def test_any_json_or_text_costs_at_most_its_own_sample(member, extension, tmp_path):
    members = [("a.flac", AUDIO[0]), (f"a.{extension}", member), *samples((1, 2))]
    assert index_of(tar_of(members), tmp_path)[-2:] == ["s1", "s2"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(write_corpus(folder / "corpus", utterances=8), folder / "shards")
    return folder / "shards"


def use_all(root: Path) -> None:
    """What `inspect`, `verify`, `doctor`, `plan` and the start of `train` make of an index, and every read."""
    with contextlib.suppress(*TOLD):
        verify_shards(str(root), None, workers=1, advance=lambda _: None)
    with contextlib.suppress(*TOLD):
        summarise_languages(toy_config(root / "run", root / "base", root))
    with contextlib.suppress(*TOLD):
        index = ShardIndex.load(str(root))
        language = index.language("ron")
        list(unusual_text(language))
        summary_table(index, 100)
        vocabulary_lines(index, index.languages)
        duration_histogram(durations_of(language))
        language.vocabulary.to_json().encode()
        reader = ShardReader(index)
        for split in SPLITS:
            for row in range(len(language.table(split))):
                with contextlib.suppress(DamagedSampleError, TruncatedShardError):
                    reader.read("ron", split, row)
        reader.close()


def places_in(content, where=()):
    yield where
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in inner:
        yield from places_in(value, (*where, name))


@st.composite
def damaged_json(draw, text):
    """A value replaced or left out somewhere, an entry there twice, or bytes changed."""
    content = json.loads(text)
    where = draw(st.sampled_from([place for place in places_in(content) if place]))
    inner = content
    for name in where[:-1]:
        inner = inner[name]
    how = draw(st.sampled_from(["replace", "replace", "leave out", "twice", "bytes", "cut"]))
    if how == "replace":
        inner[where[-1]] = draw(any_json | st.sampled_from([-1, 2**70, "../../x", "a\0b", [], {}]))
    elif how == "leave out":
        del inner[where[-1]]
    damaged = bytearray(json.dumps(content).encode())
    if how == "twice":
        damaged[1:1] = b'"splits": {}, "ron": {}, '
    elif how == "bytes":
        damaged[draw(st.integers(0, len(damaged) - 1))] = draw(st.integers(0, 255))
    elif how == "cut":
        del damaged[draw(st.integers(0, len(damaged))) :]
    return Damaged(damaged, how, *where)


@st.composite
def damaged_tables(draw, content):
    """A column of another type or with another value, left out or doubled; or bytes changed or cut off."""
    how = draw(st.sampled_from(["column", "column", "drop", "twice", "bytes", "cut"]))
    if how in ("bytes", "cut"):
        damaged = bytearray(content)
        place = draw(st.integers(0, len(damaged) - 1))
        damaged[place:] = (
            damaged[place:][:0] if how == "cut" else bytes([draw(st.integers(0, 255))]) + damaged[place + 1 :]
        )
        return Damaged(damaged, how, place)
    table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    name = draw(st.sampled_from(table.column_names))
    number = table.column_names.index(name)
    if how == "drop":
        table = table.remove_column(number)
    elif how == "twice":
        table = table.append_column(name, table.column(number))
    else:
        values = table.column(number).to_pylist()
        value = draw(st.sampled_from([None, -1, 0, 1, 2**31 - 1, 2**62, "x", 0.5, b"\xff"]))
        places = range(len(values)) if draw(st.booleans()) else [draw(st.integers(0, len(values) - 1))]
        for place in places:
            values[place] = value
        try:
            column = pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError):
            column = pyarrow.array([value] * len(values))
        table = table.set_column(number, name, column)
    target = io.BytesIO()
    pyarrow.parquet.write_table(table, target)
    return Damaged(target.getvalue(), how, name)


@pytest.mark.parametrize("name", ["index.json", "vocab.json", "samples.parquet"])
def test_any_file_of_an_index_is_used_or_refused(name, built, tmp_path):
    sound = (built / "ron" / name).read_bytes()
    damaged = damaged_tables(sound) if name == "samples.parquet" else damaged_json(sound.decode())

    @settings(FEW, max_examples=60)
    @given(damaged=damaged | st.binary(max_size=200).map(Damaged))
    def use(damaged):
        root = fresh(tmp_path)
        shutil.copytree(built, root)
        (root / "ron" / name).write_bytes(damaged.content)
        use_all(root)

    use()
