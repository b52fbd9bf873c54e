"""Shards on an S3-compatible server: built, indexed, read and trained on, also where server or network fail."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from launcher.cli import main
from shards import remote, storage
from shards.cache import ShardCache
from shards.errors import StorageError, TruncatedShardError
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.corpus import build_toy_shards
from tests.s3_server import BUCKET, s3_server
from tests.shard_samples import tree_sums, write_corpus
from tests.training import toy_config

OPTIONS = ["--shard-utterances", "5", "--dev-fraction", "0.2", "--test-fraction", "0.1", "--workers", "1"]


@pytest.fixture(scope="module")
def running():
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(running, monkeypatch, tmp_path):
    """The server, which this process finds by its environment; without faults, and every test in a new session."""
    import s3fs

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    s3fs.S3FileSystem.clear_instance_cache()
    running.heal()
    yield running
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def place(request):
    """A URL that no other test writes to."""
    return f"s3://{BUCKET}/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("source"), utterances=16)


@pytest.fixture(scope="module")
def local(source):
    assert main(["shards", "build", str(source), str(source.parent / "shards"), *OPTIONS]) == 0
    return source.parent / "shards"


def put(folder: Path, url: str) -> str:
    """Upload a folder as other tools do."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            remote.upload(path, f"{url}/{path.relative_to(folder).as_posix()}")
    return url


def sums(url: str) -> dict[str, str]:
    names = [name for name in remote.list_files(url) if not name.startswith(".")]
    return {name: hashlib.sha256(storage.read_bytes(f"{url}/{name}")).hexdigest() for name in names}


def read_all(url, cache):
    index = ShardIndex.load(url)
    reader = ShardReader(index, cache)
    found = [reader.read("ron", "train", row).text for row in range(index.language("ron").utterances("train"))]
    reader.close()
    return found


def test_a_corpus_is_built_inspected_verified_and_indexed_there(s3, place, source, local, capsys, tmp_path):
    command = ["shards", "build", str(source), place, *OPTIONS]
    assert main([*command, "--dry-run"]) == 0
    assert remote.list_files(place) == {}
    assert main(command) == 0
    assert f"mms-dist shards inspect {place}" in capsys.readouterr().out
    assert sums(place) == tree_sums(local)
    writes = [line.rpartition("/")[2] for line in s3.requests() if line.startswith("PUT") and "/.build/" not in line]
    assert writes[-3:] == ["samples.parquet", "vocab.json", "index.json"]
    assert all(name.endswith(".tar") for name in writes[:-3]) and len(writes) > 6
    assert main(command) == 0 and "unchanged" in capsys.readouterr().out
    for arguments in (["inspect", place], ["verify", place, "--workers", "1"], ["inspect", "--text", place]):
        assert main(["shards", *arguments]) == 0
    assert "all sound: 1 language" in capsys.readouterr().out
    remote.remove([f"{place}/ron/{name}" for name in ("index.json", "samples.parquet", "vocab.json")])
    assert main(["shards", "index", place, "--workers", "1"]) == 0
    assert main(["shards", "index", place, "--workers", "1"]) == 0
    assert f"every language in {place} has an index" in capsys.readouterr().out
    table = f"{place}/ron/samples.parquet"
    whole = pyarrow.parquet.read_table(io.BytesIO(storage.read_bytes(table)))
    old = io.BytesIO()
    pyarrow.parquet.write_table(whole.drop_columns(["source", "tags"]), old)
    remote.write_bytes(table, old.getvalue())
    assert main(["shards", "index", place]) == 0, "adds what an earlier version did not write"
    completed = pyarrow.parquet.read_table(io.BytesIO(storage.read_bytes(table)))
    assert completed.select(whole.column_names).equals(whole)
    assert read_all(place, ShardCache(tmp_path / "cache", 1 << 30)) == read_all(str(local), None)


def test_vocabularies_and_text_rules_may_lie_there_too(s3, place, source, tmp_path, capsys):
    words = dict(zip(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghij"], range(15), strict=True))
    remote.write_bytes(f"{place}/mms/vocab.json", json.dumps({"ron": words}).encode())
    remote.write_bytes(f"{place}/rules.yaml", b"languages: {ron: {letters: {k: q}}}")
    for number, vocabulary in enumerate((f"{place}/mms/vocab.json", f"{place}/mms")):
        built = tmp_path / str(number)
        options = ["--vocabulary", vocabulary, "--text-rules", f"{place}/rules.yaml", *OPTIONS]
        assert main(["shards", "build", str(source), str(built), *options]) == 0, capsys.readouterr().err
        assert list(ShardIndex.load(str(built)).language("ron").vocabulary.tokens) == list(words)
        assert not any("k" in text for text in read_all(str(built), None))
    for option, name, fix in (("--vocabulary", "none.json", "check the path"), ("--text-rules", "no.yaml", "check --")):
        assert main(["shards", "build", str(source), str(tmp_path / "no"), option, f"{place}/{name}", *OPTIONS]) == 2
        told = capsys.readouterr().err
        assert f"{place}/{name}" in told and fix in told


def test_tars_there_that_no_index_names_are_reported(s3, place, local, capsys):
    put(local, place)
    tar = next((local / "ron").glob("train*.tar"))
    for name in ("ron/old-000000.tar", "ita/train-000000.tar"):
        remote.upload(tar, f"{place}/{name}")
    assert main(["shards", "verify", place, "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert f"{place}/ron/old-000000.tar is not in the index" in told
    assert "1 tar but no index.json, so training skips them" in told
    assert f"{place}/ron/train" not in told
    remote.remove([f"{place}/ron/old-000000.tar", f"{place}/ita/train-000000.tar"])
    assert main(["shards", "verify", place, "--workers", "1"]) == 0


def test_a_build_that_is_killed_goes_on_on_another_machine(s3, place, source, local, tmp_path):
    command = [sys.executable, "-m", "launcher", "shards", "build", str(source), place, *OPTIONS]
    root = Path(__file__).parents[2]

    def start(name):
        (tmp_path / name).mkdir()
        return subprocess.Popen(command, cwd=root, env={**os.environ, "TMPDIR": str(tmp_path / name)})

    process = start("one")
    deadline = time.monotonic() + 100
    while sum("/.build/ron/parts/" in line for line in s3.requests() if line.startswith("PUT")) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    staged = [name for name in remote.list_files(place) if name.startswith(".build/ron/parts/")]
    assert len(staged) >= 2 and not storage.exists(f"{place}/ron/index.json")
    s3.heal()
    assert start("two").wait() == 0
    again = [line for line in s3.requests() if line.startswith("PUT") and "/.build/ron/shards/" in line]
    assert not any(line.endswith(Path(name).stem) for line in again for name in staged)
    assert sums(place) == tree_sums(local)


def test_a_run_trains_and_is_evaluated_on_shards_there(s3, place, small_base, tmp_path, capsys):
    shards = build_toy_shards(tmp_path, languages=2, train=4, dev=2)
    put(shards, place)
    results = {}
    for name, where in (("here", str(shards)), ("there", place)):
        data = {"shards": where, "workers": 1, "cache_directory": str(tmp_path / "cache")}
        config = toy_config(tmp_path / name, small_base, shards, data=data, optim={"steps": 4})
        (tmp_path / f"{name}.yaml").write_text(config.to_yaml())
        assert main(["train", "--config", str(tmp_path / f"{name}.yaml")]) == 0
        assert main(["eval", str(tmp_path / name), "--split", "dev"]) == 0
        results[name] = sorted((tmp_path / name / "adapters").rglob("adapter.taa.safetensors"))[-1].read_bytes()
    assert results["here"] == results["there"]
    assert list((tmp_path / "cache").glob("*.tar"))


def test_a_server_that_asks_for_fewer_requests_is_asked_again(s3, place, local, tmp_path, monkeypatch):
    put(local, place)
    s3.fail("GET", "ron/train-000000.tar", "SlowDown", times=2)
    s3.fail("GET", "ron/index.json", "SlowDown", times=2)
    s3.fail("PUT", "/upload", "SlowDown", times=2)
    assert read_all(place, ShardCache(tmp_path / "cache", 1 << 30)) == read_all(str(local), None)
    remote.write_bytes(f"{place}/upload", b"x")
    assert storage.read_bytes(f"{place}/upload") == b"x"


def test_a_server_that_refuses_every_request_is_named_with_the_fix(s3, place, source, monkeypatch, capsys):
    import s3fs

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    s3.fail("PUT", "/.build/ron/shards/", "SlowDown")
    assert main(["shards", "build", str(source), place, *OPTIONS]) == 2
    told = capsys.readouterr().err
    assert re.search(
        r"train-000000.tar cannot be written: the server asks for fewer requests, also after several", told
    )
    assert "run the same command again (finished shards are kept) later or with fewer jobs" in told
    assert not storage.exists(f"{place}/ron/index.json")
    s3.heal()
    assert main(["shards", "build", str(source), place, *OPTIONS]) == 0


def test_an_interrupted_download_goes_on_and_is_never_kept_in_part(s3, place, local, tmp_path, monkeypatch):
    put(local, place)
    cache = ShardCache(tmp_path / "cache", 1 << 30)
    s3.fail("GET", "ron/train-000000.tar", "cut", times=2)
    assert read_all(place, cache) == read_all(str(local), None)
    shutil.rmtree(tmp_path / "cache")
    s3.fail("GET", "ron/train-000001.tar", "cut")
    with pytest.raises(
        StorageError, match=r"train-000001.tar cannot be read: the connection failed .*check the network"
    ):
        read_all(place, ShardCache(tmp_path / "cache", 1 << 30))
    kept = [path for path in (tmp_path / "cache").iterdir() if path.is_file()]
    assert len(kept) == 1 and not [path for path in kept if path.suffix == ".partial"]
    s3.heal()
    assert read_all(place, ShardCache(tmp_path / "cache", 1 << 30)) == read_all(str(local), None)


def test_the_cache_drops_shards_of_the_server_and_fetches_them_again(s3, place, local, tmp_path):
    put(local, place)
    shards = ShardIndex.load(place).language("ron").shards("train")
    assert len(shards) >= 2
    room = max(shard.bytes for shard in shards)
    cache = ShardCache(tmp_path / "cache", room)
    for _ in range(2):
        for shard in shards:
            os.close(cache.open(f"{place}/ron/{shard.name}", shard))
            assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("*.*")) <= room
    fetched = [line for line in s3.requests() if line.startswith("GET") and line.endswith(".tar")]
    assert len(fetched) == 2 * len(shards)


def test_a_shard_that_is_missing_or_short_there_is_named_before_training(s3, place, local):
    put(local, place)
    remote.write_bytes(f"{place}/ron/train-000001.tar", b"short")
    reader = ShardReader(ShardIndex.load(place))
    with pytest.raises(TruncatedShardError, match=r"train-000001.tar has 5 bytes"):
        reader.check_sizes("ron", "train")
    remote.remove([f"{place}/ron/train-000000.tar"])
    with pytest.raises(TruncatedShardError, match=r"train-000000.tar is missing"):
        reader.check_sizes("ron", "train")


@pytest.mark.parametrize(
    ("changes", "found", "fix"),
    [
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "the server refuses access", "check AWS_ACCESS_KEY_ID"),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
            r"there are no usable credentials",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ),
        ({"AWS_PROFILE": "nobody"}, r"The config profile \(nobody\) could not be found", "correct AWS_PROFILE"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "the connection failed",
            r"check the network, and AWS_ENDPOINT_URL \(http://127.0.0.1:9\)",
        ),
    ],
)
def test_wrong_credentials_and_addresses_are_named_with_the_fix(
    changes, found, fix, s3, place, source, monkeypatch, capsys
):
    import s3fs

    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    for arguments in (["inspect", place], ["build", str(source), place, *OPTIONS]):
        assert main(["shards", *arguments]) == 2
        told = capsys.readouterr().err
        assert re.search(f"error: .*{found}.*; {fix}", told), told


def test_a_bucket_that_does_not_exist_is_named(s3, source, capsys):
    assert main(["shards", "inspect", "s3://nowhere/corpus"]) == 2
    assert "no folder s3://nowhere/corpus" in capsys.readouterr().err
    assert main(["shards", "build", str(source), "s3://nowhere/corpus", *OPTIONS]) == 2
    assert "create the bucket nowhere, or correct the URL" in capsys.readouterr().err


def test_ten_thousand_objects_are_listed(s3):
    s3.fill("many", 10_000)
    assert storage.list_folders(f"s3://{BUCKET}/many") == [f"{number:05}" for number in range(10_000)]
    s3.fill("language", 2_500)  # more than the 1,000 of an answer; the server needs a millisecond for each
    assert remote.list_files(f"s3://{BUCKET}/language") == {f"{number:05}/index.json": 2 for number in range(2_500)}


def test_without_the_package_the_error_names_the_extra(tmp_path):
    code = "import sys; sys.modules['s3fs'] = None; from launcher.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "shards", "inspect", "s3://bucket/corpus"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 2
    assert (
        "s3://bucket/corpus needs the package s3fs, which is not installed; pip install 'mms-dist[s3]'" in done.stderr
    )


def test_what_can_not_be_written_or_is_of_this_machine_alone_is_refused(s3, place, local, source, capsys):
    for where in ("https://host/corpus", "pipe:cat {}"):
        assert main(["shards", "build", str(source), where]) == 2
        assert "nothing can be written to" in capsys.readouterr().err
    tar = next((local / "ron").glob("train*.tar"))
    assert main(["shards", "index", place, str(tar), "--lang", "ron"]) == 2
    assert "is a file of this machine" in capsys.readouterr().err
    assert remote.list_files(place) == {}
