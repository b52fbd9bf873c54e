"""Any utterance can be read by its row, by several threads, and from far away."""

import dataclasses
import functools
import http.server
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

from shards import storage
from shards.cache import ShardCache
from shards.errors import DamagedSampleError, IndexFileError, ShardsError, StorageError, TruncatedShardError
from shards.index import LanguageIndex, ShardIndex
from shards.read import ShardReader
from tests.shard_samples import build, write_corpus


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build(write_corpus(folder / "corpus", languages=("ron", "ita")), folder / "shards")
    return folder / "shards"


@pytest.fixture
def cache(tmp_path):
    return ShardCache(tmp_path / "cache", 10 << 20)


@pytest.fixture
def served(shards):
    """The shards behind a web server on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(shards)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def in_memory(shards):
    """The shards in fsspec's memory."""
    system = fsspec.filesystem("memory")
    system.put(str(shards), "/far", recursive=True)
    yield "memory://far"
    system.rm("/far", recursive=True)


def read_all(root, cache=None, languages=None):
    index = ShardIndex.load(root, languages)
    reader = ShardReader(index, cache)
    found = [
        reader.read(code, "train", row)
        for code in index.languages
        for row in range(len(index.language(code).table("train")))
    ]
    reader.close()
    return [(utterance.key, utterance.text, utterance.audio.tobytes()) for utterance in found]


def test_threads_that_read_at_once_get_what_one_gets(shards):
    index = ShardIndex.load(str(shards))
    reader = ShardReader(index)
    rows = list(range(len(index.language("ron").table("train"))))
    alone = [reader.read("ron", "train", row).audio.tobytes() for row in rows]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            reader.close()
            together = list(pool.map(lambda row: reader.read("ron", "train", row).audio.tobytes(), rows))
            assert together == alone


def test_few_shards_stay_open_however_many_are_read(shards):
    before = len(os.listdir("/proc/self/fd"))
    reader = ShardReader(ShardIndex.load(str(shards)), max_open_shards=2)
    for code in ("ron", "ita"):
        for row in (0, 5, 10):
            reader.read(code, "train", row)
    assert len(os.listdir("/proc/self/fd")) == before + 2


@pytest.mark.parametrize("place", ["file", "memory", "http", "pipe"])
def test_shards_read_the_same_from_everywhere(place, shards, cache, request):
    expected = read_all(str(shards))
    if place == "file":
        assert read_all(f"file://{shards}") == expected
    elif place == "memory":
        assert read_all(request.getfixturevalue("in_memory"), cache) == expected
    elif place == "http":
        assert read_all(request.getfixturevalue("served"), cache) == expected
    else:
        assert read_all(f"pipe:cat {shards}/{{}}", cache, ["ron", "ita"]) == expected


def test_a_pipe_can_not_be_listed_and_says_so(shards):
    with pytest.raises(StorageError, match=r"cannot be listed; name them \(data.languages, or --lang\)"):
        ShardIndex.load(f"pipe:cat {shards}/{{}}")
    with pytest.raises(StorageError, match=r"must hold \{\}"):
        ShardIndex.load(f"pipe:cat {shards}", ["ron"])


def test_a_pipe_that_fails_is_an_error_and_no_empty_shard(shards):
    with pytest.raises(StorageError, match="ended with status 3"):
        storage.read_bytes(f"pipe:cat {shards}/ron/index.json; exit 3")


def test_a_remote_shard_is_fetched_once_and_kept(in_memory, cache, monkeypatch):
    fetched = []
    original = storage.copy_to
    monkeypatch.setattr(storage, "copy_to", lambda url, target: fetched.append(url) or original(url, target))
    first = read_all(in_memory, cache)
    tars = [url for url in fetched if url.endswith(".tar")]
    assert len(tars) == len(set(tars)) > 2
    fetched.clear()
    assert read_all(in_memory, cache) == first
    assert not [url for url in fetched if url.endswith(".tar")]


def test_the_cache_stays_within_its_size_and_drops_the_least_recently_used(in_memory, tmp_path):
    index = ShardIndex.load(in_memory)
    language = index.language("ron")
    one, two, three = language.shards("train")[:3]
    cache = ShardCache(tmp_path / "cache", one.bytes + two.bytes + three.bytes // 2)
    reader = ShardReader(index, cache)
    for code in index.languages:
        for row in range(len(index.language(code).table("train"))):
            reader.read(code, "train", row)
            kept = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir() if path.is_file())
            assert kept <= cache.capacity_bytes
    cache = ShardCache(tmp_path / "other", one.bytes + two.bytes + three.bytes // 2)
    for shard in (one, two, one, three):
        os.close(cache.open(language.shard_url(shard), shard))
    names = {path.name.split("-")[0] for path in (tmp_path / "other").glob("*.tar")}
    assert names == {one.sha256[:32], three.sha256[:32]}


def test_a_shard_larger_than_the_cache_says_which_setting_to_raise(in_memory, tmp_path):
    with pytest.raises(StorageError, match=r"raise data.cache_gib"):
        read_all(in_memory, ShardCache(tmp_path / "cache", 1000))


def test_several_readers_of_one_cache_fetch_every_shard_once(in_memory, cache, monkeypatch):
    fetched = []
    original = storage.copy_to
    monkeypatch.setattr(storage, "copy_to", lambda url, target: fetched.append(url) or original(url, target))
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: read_all(in_memory, ShardCache(cache.directory, 10 << 20)), range(6)))
    assert all(result == results[0] for result in results)
    tars = [url for url in fetched if url.endswith(".tar")]
    assert len(tars) == len(set(tars))


def test_what_a_killed_download_left_is_removed_when_room_is_needed(in_memory, tmp_path):
    index = ShardIndex.load(in_memory)
    (shard, *_) = index.language("ron").shards("train")
    cache = ShardCache(tmp_path / "cache", shard.bytes + 100)
    (cache.directory / "dead.partial").write_bytes(bytes(200))
    read = ShardReader(index, cache).read("ron", "train", 0)
    assert read.text
    assert not list(cache.directory.glob("*.partial"))


def test_sizes_are_checked_without_reading_any_shard(shards, in_memory, served):
    for root in (str(shards), in_memory, served):
        ShardReader(ShardIndex.load(root)).check_sizes("ron", "train")


def test_an_unknown_language_names_the_nearest_and_those_that_are_there(shards, served):
    with pytest.raises(IndexFileError, match=r"'rom' in .*did you mean 'ron'\?\); languages there: ita, ron"):
        ShardIndex.load(str(shards), ["rom"])
    with pytest.raises(IndexFileError, match=r"did you mean 'ron'"):
        ShardIndex.load(str(shards)).language("rom")
    with pytest.raises(IndexFileError, match=r"did you mean 'ron'"):
        ShardIndex.load(served, ["rom"])


def test_a_place_without_shards_says_how_to_make_them(tmp_path, served):
    with pytest.raises(IndexFileError, match="mms-dist shards build"):
        ShardIndex.load(str(tmp_path))
    with pytest.raises(StorageError, match="no folder"):
        ShardIndex.load(str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="no folder"):
        ShardIndex.load(served + "/nowhere")
    with pytest.raises(StorageError, match="cannot be opened"):
        ShardIndex.load("nosuchscheme://bucket/shards")


def test_another_schema_or_a_broken_index_is_refused_with_the_mend(shards, tmp_path):
    folder = tmp_path / "ron"
    folder.mkdir()
    text = (shards / "ron" / "index.json").read_text()
    for content, message in (
        (text.replace('"schema_version": 1', '"schema_version": 7'), "schema version 7, expected 1"),
        ("{", "is not a shard index"),
        ('{"schema_version": 1}', "has a missing or invalid entry"),
    ):
        (folder / "index.json").write_text(content)
        with pytest.raises(IndexFileError, match=message):
            ShardIndex.load(str(tmp_path))


def test_a_split_without_utterances_is_empty_and_an_unknown_one_an_error(tmp_path):
    lines = write_corpus(tmp_path / "corpus", utterances=6)
    lines.write_text("".join(line.replace("}", ', "split": "train"}') for line in lines.read_text().splitlines(True)))
    build(lines, tmp_path / "shards")
    language = ShardIndex.load(str(tmp_path / "shards")).language("ron")
    assert language.splits == ("train",)
    assert len(language.table("dev")) == 0
    assert language.shards("dev") == ()
    with pytest.raises(ShardsError, match="expected one of train, dev, test"):
        language.table("validation")


def test_errors_survive_the_way_back_from_another_process():
    import pickle

    from shards.errors import DamagedSampleError

    for error in (
        TruncatedShardError("a.tar", bytes_found=3, bytes_expected=5, fix="copy it"),
        DamagedSampleError("ron", "k", "a.tar", "CRC"),
        DamagedSampleError("ron", "k", "a.tar", "CRC", row=7),
    ):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_reading_an_index_leaves_no_thread_of_arrow_behind(shards):
    # Its worker pool is torn down with the interpreter, and now and then the process died of SIGABRT there.
    program = (
        "import os, sys; from shards.index import LanguageIndex, ShardIndex\n"
        "import pyarrow.compute, pyarrow.parquet\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count()\n"
        "assert len(ShardIndex.load(sys.argv[1]).language('ron').table('train'))\n"
        "print(count() - before)"
    )
    result = subprocess.run([sys.executable, "-c", program, str(shards)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "0", result.stderr


def test_audio_of_another_length_than_the_table_says_is_damage(shards, monkeypatch):
    """As where an earlier version took the length from a header: frames and padding would be wrong."""
    index = ShardIndex.load(str(shards))
    table = index.language("ron").table("train")
    expected = int(table.samples[1])
    longer = dataclasses.replace(table, samples=table.samples + 1)
    monkeypatch.setattr(LanguageIndex, "table", lambda self, split: longer)
    reader = ShardReader(index)
    with pytest.raises(DamagedSampleError, match=f"decodes to {expected} samples, its index says {expected + 1}"):
        reader.read("ron", "train", 1)
    reader.close()


def test_shards_are_read_without_importing_pandas(shards):
    """Every process of a run reads them as it begins, and pandas takes half a second each time."""
    code = (
        "import sys; from shards.index import ShardIndex; from shards.read import ShardReader\n"
        "index = ShardIndex.load(sys.argv[1])\n"
        "ShardReader(index).check_sizes('ron', 'train')\n"
        "assert index.language('ron').table('dev').samples.dtype == 'int32'\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(shards)], check=True, timeout=120)
