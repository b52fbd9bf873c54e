"""A build on a remote file system: stopped before any of its writes, no half corpus can be read, and it goes on."""

import contextlib
import itertools
import json
import os
import shutil
from pathlib import Path

import fsspec
import pytest

from shards import remote
from shards.build.corpus import build_shards, is_built
from shards.build.language_build import BuildOptions
from shards.build.remote_output import RemoteOutput
from shards.cache import ShardCache
from shards.errors import IndexFileError, Problem, ShardsError
from shards.index import ShardIndex
from shards.index.failures import record_outcome
from shards.read import ShardReader
from tests.shard_samples import build, plans_of, tree_sums, write_corpus

ROOT = "memory://corpus"
WRITES = ("write_bytes", "upload", "copy", "remove")
OPTIONS = BuildOptions(shard_utterances=5)


class Stopped(BaseException):
    """What ends a build at once, as a signal does."""


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path):
    """fsspec's memory, empty, and a temporary directory of this test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("source"), utterances=12)


@pytest.fixture(scope="module")
def built(corpus, tmp_path_factory):
    """The shards that a build into a folder makes."""
    folder = tmp_path_factory.mktemp("built")
    build(corpus, folder)
    return folder


def build_there(manifest, **options):
    return build_shards(plans_of(manifest), ROOT, OPTIONS, workers=1, **options)


def copy_here(system, folder: Path) -> Path:
    for name in system.find("/corpus"):
        path = folder / name.removeprefix("/corpus/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(system.cat_file(name))
    return folder


def stop_before(monkeypatch, number):
    """Stop before write `number`; returns the writes, to be counted."""
    done = []

    def stopping(name, original):
        def write(*args):
            if len(done) == number:
                raise Stopped
            done.append(name)
            return original(*args)

        return write

    for name in WRITES:
        monkeypatch.setattr(remote, name, stopping(name, getattr(remote, name)))
    return done


def readable(tmp_path) -> set[str] | None:
    """All transcripts that can be read, with every byte checked; None if there is no index."""
    try:
        index = ShardIndex.load(ROOT, ["ron"])
    except IndexFileError:
        return None
    cache = ShardCache(tmp_path / "cache", 10 << 20)
    reader = ShardReader(index, cache)
    language = index.language("ron")
    texts = {
        reader.read("ron", split, row).text for split in language.splits for row in range(language.utterances(split))
    }
    reader.close()
    shutil.rmtree(tmp_path / "cache")
    return texts


def test_a_remote_build_writes_the_bytes_of_a_local_one(memory, corpus, built, tmp_path):
    report = build_there(corpus)
    assert tree_sums(copy_here(memory, tmp_path / "fetched")) == tree_sums(built)
    assert [name for name in memory.find("/corpus") if "/.build/" in name] == ["/corpus/.build/ron.json"]
    assert not list((tmp_path / "temporary").rglob("*.tar"))
    assert report.indexes["ron"] == ShardIndex.load(ROOT).language("ron").content
    assert build_there(corpus).reused == ["ron"]
    assert all(is_built(plan, ROOT, OPTIONS) for plan in plans_of(corpus))


@pytest.mark.parametrize("rebuilt", [False, True])
def test_stopped_before_any_write_it_leaves_no_half_and_goes_on(rebuilt, memory, corpus, tmp_path, monkeypatch):
    before = None
    manifest = corpus
    if rebuilt:  # over other shards, which stay until the new ones are whole
        build_there(write_corpus(tmp_path / "old", utterances=7))
        before = readable(tmp_path)
    whole = {json.loads(line)["text"] for line in manifest.read_text().splitlines()}
    kept = {name: memory.cat_file(name) for name in memory.find("/corpus")}
    seen = []
    for number in itertools.count():
        memory.store.clear()
        for name, data in kept.items():
            memory.pipe_file(name, data)
        with monkeypatch.context() as patch:
            done = stop_before(patch, number)
            with contextlib.suppress(Stopped):
                build_there(manifest)
        found = readable(tmp_path)
        seen.append(found)
        assert found in (before, None, whole)
        if len(done) < number:
            break
        build_there(manifest)
        assert readable(tmp_path) == whole
    assert build_there(manifest).reused == ["ron"]
    assert number > 20 and seen[0] == before and seen[-1] == whole
    assert None in seen


def test_finished_shards_are_not_made_again(memory, corpus, built, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        done = stop_before(patch, -1)
        build_there(corpus)
        uploads = done.count("upload")
    assert uploads >= 3
    memory.store.clear()
    with monkeypatch.context() as patch:
        stop_before(patch, 8)
        with pytest.raises(Stopped):
            build_there(corpus)
    recorded = len(memory.find("/corpus/.build/ron/parts"))
    assert 0 < recorded < uploads
    with monkeypatch.context() as patch:
        done = stop_before(patch, -1)
        build_there(corpus)
        assert done.count("upload") == uploads - recorded
    assert tree_sums(copy_here(memory, tmp_path / "fetched")) == tree_sums(built)


def test_a_changed_source_goes_on_from_no_other_state(memory, corpus, tmp_path, monkeypatch):
    for number in (6, 25):
        memory.store.clear()
        with monkeypatch.context() as patch:
            stop_before(patch, number)
            with pytest.raises(Stopped):
                build_there(write_corpus(tmp_path / f"other{number}", utterances=15))
        build_there(corpus)
        assert len(readable(tmp_path)) == 12


def test_the_earlier_of_two_builds_stops_when_the_later_begins(memory, corpus, tmp_path):
    first, second = RemoteOutput("ron", ROOT), RemoteOutput("ron", ROOT)
    state = {"fingerprint": "a", "inputs": "b"}
    first.begin(state)
    second.begin(state)
    with pytest.raises(ShardsError, match=rf"another build \(host .*, process {os.getpid()}\) has begun to write ron"):
        first.publish([], {"index.json": b"{}"}, state)
    assert second.sizes() == {}
    second.publish([], {"index.json": b"{}"}, state)
    assert second.sizes() == {"index.json": 2}


def test_two_builds_of_a_language_on_one_machine_are_refused(memory, corpus):
    refused = pytest.raises(ShardsError, match="another build is writing ron to memory://corpus")
    with RemoteOutput("ron", ROOT).exclusive(), refused:
        build_there(corpus)


def test_what_a_build_did_not_write_is_left_alone(memory, corpus, tmp_path):
    memory.pipe_file("/corpus/ron/train-000000.tar", b"of somebody else")
    report = build_there(corpus, force=True)
    assert "contains files that 'shards build' did not write" in str(report.failed["ron"])
    assert memory.cat_file("/corpus/ron/train-000000.tar") == b"of somebody else"
    failed = json.loads(memory.cat_file("/corpus/failed.json"))
    assert list(failed) == ["ron"]
    memory.rm("/corpus/ron", recursive=True)
    build_there(corpus)
    assert not memory.exists("/corpus/failed.json")


def test_a_language_whose_name_begins_like_another_is_its_own(memory, corpus):
    memory.pipe_file("/corpus/ron-script_latin/index.json", b"{}")
    build_there(corpus, force=True)
    build_there(corpus, force=True)
    assert memory.cat_file("/corpus/ron-script_latin/index.json") == b"{}"


def test_a_damaged_tar_is_noticed_and_built_again(memory, corpus, tmp_path):
    build_there(corpus)
    (tar, *_) = [name for name in memory.find("/corpus/ron") if name.endswith(".tar")]
    memory.pipe_file(tar, memory.cat_file(tar)[:-512])
    assert build_there(corpus).reused == []
    assert len(readable(tmp_path)) == 12
    memory.rm_file("/corpus/ron/index.json")
    report = build_there(corpus)
    assert "index.json is missing or damaged; rebuild it with --lang ron --force" in str(report.failed["ron"])
    assert build_there(corpus, force=True).failed == {}


def test_failures_of_tasks_at_the_same_time_are_all_listed(memory, monkeypatch):
    record_outcome(ROOT, failed={}, done=["ron"])
    assert not memory.find("/corpus")
    original = remote.write_bytes
    nested = iter([True])

    def write(url, data):
        if url.endswith("corpus/failed.json") and next(nested, False):
            record_outcome(ROOT, failed={"ita": Problem("it is broken too")})  # another task is quicker
        original(url, data)

    monkeypatch.setattr(remote, "write_bytes", write)
    record_outcome(ROOT, failed={"ron": Problem("it is broken", "repair it")})
    listed = json.loads(memory.cat_file("/corpus/failed.json"))
    assert listed == {
        "ita": {"found": "it is broken too", "fix": None},
        "ron": {"found": "it is broken", "fix": "repair it"},
    }
    record_outcome(ROOT, failed={}, done=["ron"])
    assert list(json.loads(memory.cat_file("/corpus/failed.json"))) == ["ita"]
    record_outcome(ROOT, failed={}, done=["ita"])
    assert not memory.find("/corpus")
