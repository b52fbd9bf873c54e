"""Damage to shards is found, named, and never silently shortens an epoch."""

import json
import os
import tarfile

import fsspec
import pytest

from launcher.cli import main
from shards.cache import ShardCache
from shards.errors import DamagedSampleError, IndexFileError, StorageError, TruncatedShardError
from shards.foreign.find_tars import ForeignTar
from shards.foreign.index_tars import IndexOptions, index_language
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.tars.survey import scan
from shards.text_rules import load_rules
from shards.verify import verify_shards
from tests.shard_samples import build, tree_sums, write_corpus


@pytest.fixture
def shards(tmp_path):
    build(write_corpus(tmp_path / "corpus"), tmp_path / "shards")
    return tmp_path / "shards"


def reader_of(shards):
    return ShardReader(ShardIndex.load(str(shards)))


def problems_of(shards):
    (found,) = verify_shards(str(shards), None, workers=1, advance=lambda _: None)
    return [str(problem) for problem in found.problems]


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_sound_shards_have_no_problems(shards):
    assert problems_of(shards) == []


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_flipped_byte_damages_its_own_utterance_and_no_other(fraction, shards):
    table = ShardIndex.load(str(shards)).language("ron").table("train")
    flip(shards / "ron" / "train-000000.tar", int(table.offset[2] + fraction * table.size[2]))
    reader = reader_of(shards)
    for row in range(len(table)):
        if row == 2:
            with pytest.raises(DamagedSampleError, match="CRC-32 differs") as damaged:
                reader.read("ron", "train", row)
            assert (damaged.value.key, damaged.value.language) == (str(table.keys[2]), "ron")
            assert "train-000000.tar" in damaged.value.shard
        else:
            reader.read("ron", "train", row)
    assert any(str(table.keys[2]) in problem for problem in problems_of(shards))


def test_a_byte_flipped_where_no_utterance_lies_is_found_by_verify(shards):
    flip(shards / "ron" / "train-000000.tar", -1)
    reader_of(shards).check_sizes("ron", "train")
    assert problems_of(shards) == [f"shard {shards}/ron/train-000000.tar does not have the SHA-256 in its index"]
    (found,) = verify_shards(str(shards), None, workers=1, advance=lambda _: None)
    assert f"mms-dist shards build SOURCE {shards} --lang ron --force" in found.fix


def test_a_shard_cut_between_two_samples_never_shortens_the_epoch(shards):
    index = ShardIndex.load(str(shards))
    table, (shard, *_) = index.language("ron").table("train"), index.language("ron").shards("train")
    path = shards / "ron" / shard.name
    os.truncate(path, int(table.offset[3]))
    message = rf"train-000000.tar has {int(table.offset[3]):,} bytes .its index says {shard.bytes:,} bytes.; fetch an"
    reader = ShardReader(index)
    with pytest.raises(TruncatedShardError, match=message):
        reader.check_sizes("ron", "train")
    reader.read("ron", "train", 2)
    for row in (3, 4):
        with pytest.raises(TruncatedShardError, match=message):
            reader.read("ron", "train", row)
    assert any("train-000000.tar has" in problem for problem in problems_of(shards))


def test_a_missing_shard_is_named_with_a_fix(shards):
    (shards / "ron" / "train-000001.tar").unlink()
    for act in (lambda reader: reader.check_sizes("ron", "train"), lambda reader: reader.read("ron", "train", 6)):
        with pytest.raises(TruncatedShardError, match=r"train-000001.tar is missing.*mms-dist shards verify"):
            act(reader_of(shards))
    assert any("train-000001.tar is missing" in problem for problem in problems_of(shards))


def test_a_sample_that_was_indexed_broken_is_named_and_counted_out(shards):
    """A table whose CRC agrees with broken audio: decoding finds it."""
    import zlib

    import pyarrow
    import pyarrow.parquet

    path = shards / "ron" / "train-000000.tar"
    table = ShardIndex.load(str(shards)).language("ron").table("train")
    offset, size = int(table.offset[1]), int(table.size[1])
    content = bytearray(path.read_bytes())
    content[offset + 512 : offset + 600] = bytes(88)
    path.write_bytes(content)
    samples = pyarrow.parquet.read_table(shards / "ron" / "samples.parquet")
    sums = samples.column("crc32").to_pylist()
    row = samples.column("key").to_pylist().index(str(table.keys[1]))
    sums[row] = zlib.crc32(content[offset : offset + size])
    number = samples.schema.get_field_index("crc32")
    samples = samples.set_column(number, samples.schema.field(number), pyarrow.array(sums, pyarrow.uint32()))
    pyarrow.parquet.write_table(samples, shards / "ron" / "samples.parquet")
    with pytest.raises(DamagedSampleError, match=str(table.keys[1])):
        reader_of(shards).read("ron", "train", 1)


@pytest.mark.parametrize("name", ["samples.parquet", "vocab.json"])
def test_damage_to_the_files_beside_the_shards_is_named(name, shards):
    flip(shards / "ron" / name, 40)
    assert any(f"{name} has" in problem and "SHA-256" in problem for problem in problems_of(shards))
    (shards / "ron" / name).unlink()
    assert any(f"{name} is missing" in problem for problem in problems_of(shards))
    language = ShardIndex.load(str(shards)).language("ron")
    with pytest.raises(IndexFileError, match=f"{name} is missing.*shards build SOURCE {shards} --lang ron --force"):
        language.table("train") if name == "samples.parquet" else language.vocabulary


def test_a_table_of_another_build_is_not_believed(shards, tmp_path):
    build(write_corpus(tmp_path / "other", utterances=9), tmp_path / "nine")
    os.replace(tmp_path / "nine" / "ron" / "samples.parquet", shards / "ron" / "samples.parquet")
    with pytest.raises(IndexFileError, match=r"utterances, but index.json says"):
        ShardIndex.load(str(shards)).language("ron").table("train")


def test_a_tar_that_no_index_knows_is_reported(shards):
    (shards / "ron" / "train-000099.tar").write_bytes((shards / "ron" / "train-000000.tar").read_bytes())
    (problem,) = problems_of(shards)
    assert problem.startswith(f"{shards}/ron/train-000099.tar is not in the index; move it away")


def test_a_sentence_in_two_splits_is_reported(tmp_path):
    build(write_corpus(tmp_path / "corpus"), tmp_path / "shards")
    index = json.loads((tmp_path / "shards" / "ron" / "index.json").read_text())
    folder = tmp_path / "leak" / "ron"
    folder.mkdir(parents=True)
    shard = index["splits"]["train"]["shards"][0]["name"]
    (folder / shard).write_bytes((tmp_path / "shards" / "ron" / shard).read_bytes())
    options = IndexOptions(load_rules("ron"))
    tars = [ForeignTar(shard, str(folder / shard), "train")]
    index_language(folder, "ron", tars, options, pool=WorkerPool(1), advance=lambda: None)
    content = json.loads((folder / "index.json").read_text())
    content["splits"]["dev"] = content["splits"]["train"]
    (folder / "index.json").write_text(json.dumps(content))
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / "samples.parquet")
    again = table.set_column(1, "split", pyarrow.array(["dev"] * len(table)))
    pyarrow.parquet.write_table(pyarrow.concat_tables([table, again]), folder / "samples.parquet")
    content["files"] = {}
    (folder / "index.json").write_text(json.dumps(content))
    (problem,) = problems_of(tmp_path / "leak")
    assert problem.startswith("5 sentences in both train and dev (for example clip")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 1, "splits": {"train": 5}}'])
def test_a_broken_index_is_a_finding_of_its_language_and_others_are_read(content, tmp_path):
    build(write_corpus(tmp_path / "corpus", languages=("ita", "ron")), tmp_path / "shards")
    (tmp_path / "shards" / "ita" / "index.json").write_text(content)
    ita, ron = verify_shards(str(tmp_path / "shards"), None, workers=1, advance=lambda _: None)
    (problem,) = map(str, ita.problems)
    assert "ita/index.json" in problem and "--lang ita --force" in problem and "shards verify" not in problem
    assert (ita.utterances, ron.utterances, ron.problems) == (0, 20, [])


def test_tars_that_lost_their_index_are_a_finding(tmp_path):
    build(write_corpus(tmp_path / "corpus", languages=("ita", "ron")), tmp_path / "shards")
    (tmp_path / "shards" / "ita" / "index.json").unlink()
    ita, ron = verify_shards(str(tmp_path / "shards"), None, workers=1, advance=lambda _: None)
    assert [str(problem) for problem in ita.problems] == ["6 tars but no index.json, so training skips them"]
    assert not ron.problems


def test_utterances_of_a_shard_that_is_cut_or_absent_do_not_count_as_read(shards):
    (shards / "ron" / "train-000000.tar").unlink()
    (found,) = verify_shards(str(shards), None, workers=1, advance=lambda _: None)
    assert (found.utterances, found.expected) == (15, 20)


def flip_in_tar(shards):
    flip(shards / "ron" / "train-000000.tar", 3000)


def empty_table(shards):
    (shards / "ron" / "samples.parquet").write_bytes(b"")


def delete_vocabulary(shards):
    (shards / "ron" / "vocab.json").unlink()


def break_index(shards):
    (shards / "ron" / "index.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "needs_force"),
    [(flip_in_tar, True), (empty_table, False), (delete_vocabulary, False), (break_index, True)],
)
def test_building_again_repairs_damage_and_gives_the_same_bytes(damage, needs_force, tmp_path, capsys):
    manifest = write_corpus(tmp_path / "corpus")
    command = ["shards", "build", str(manifest), str(tmp_path / "shards"), "--workers", "1"]
    assert main(command) == 0
    sound = tree_sums(tmp_path / "shards")
    damage(tmp_path / "shards")
    assert main(["shards", "verify", str(tmp_path / "shards"), "--workers", "1"]) == 1
    assert "--lang ron --force" in capsys.readouterr().out
    main(command)
    told = "".join(capsys.readouterr())
    assert (tree_sums(tmp_path / "shards") == sound) == (not needs_force)
    if needs_force:
        assert "--force" in told
        assert main([*command, "--lang", "ron", "--force"]) == 0
        assert "ron: 20 utterances, 15 s, built" in capsys.readouterr().out
        assert tree_sums(tmp_path / "shards") == sound


@pytest.mark.parametrize("cut", ["on a sample's end", "within a member", "without its last block"])
def test_a_foreign_tar_that_was_cut_short_is_refused_at_indexing(cut, shards):
    path = shards / "ron" / "train-000000.tar"
    spans = scan(path)
    size = {
        "on a sample's end": spans[2].offset,
        "within a member": spans[2].offset + 700,
        "without its last block": spans[-1].offset + spans[-1].size,
    }[cut]
    os.truncate(path, size)
    with pytest.raises(TruncatedShardError, match=rf"train-000000.tar has {size:,} bytes.*cut short"):
        scan(path)


def test_a_sample_whose_members_are_apart_in_a_tar_is_refused(tmp_path):
    from shards.errors import ShardsError

    with tarfile.open(tmp_path / "strewn.tar", "w") as archive:
        for name in ("a.wav", "b.wav", "a.txt"):
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(ShardsError, match=r"sample 'a' are not adjacent.*--sort=name"):
        scan(tmp_path / "strewn.tar")


def test_a_remote_shard_that_arrives_short_or_changed_is_never_kept(shards, tmp_path):
    system = fsspec.filesystem("memory")
    system.put(str(shards), "/damaged", recursive=True)
    whole = system.cat("/damaged/ron/train-000000.tar")
    cache = ShardCache(tmp_path / "cache", 10 << 20)
    try:
        for content, error, message in (
            (whole[:-1024], TruncatedShardError, f"has {len(whole) - 1024:,} bytes .its index says {len(whole):,}"),
            (whole + b"x", TruncatedShardError, f"has {len(whole) + 1:,} bytes"),
            (whole[:600] + b"?" + whole[601:], StorageError, "not have the SHA-256 in its index"),
        ):
            system.pipe("/damaged/ron/train-000000.tar", content)
            with pytest.raises(error, match=message):
                ShardReader(ShardIndex.load("memory://damaged"), cache).read("ron", "train", 0)
            assert [path.name for path in cache.directory.iterdir()] == ["locks"]
        system.rm("/damaged/ron/train-000000.tar")
        with pytest.raises(TruncatedShardError, match="is missing"):
            ShardReader(ShardIndex.load("memory://damaged"), cache).read("ron", "train", 0)
    finally:
        system.rm("/damaged", recursive=True)


def test_a_full_disk_while_fetching_is_named_and_leaves_no_partial_shard(shards, tmp_path, monkeypatch):
    import errno

    from shards import storage

    system = fsspec.filesystem("memory")
    system.put(str(shards), "/full", recursive=True)
    index = ShardIndex.load("memory://full")
    index.language("ron").table("train")
    cache = ShardCache(tmp_path / "cache", 10 << 20)

    def full(url, target):
        target.write(b"x" * 100)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage, "copy_to", full)
    with pytest.raises(StorageError, match=r"No space left on device; set data.cache_directory"):
        ShardReader(index, cache).read("ron", "train", 0)
    assert [path.name for path in cache.directory.iterdir()] == ["locks"]
    system.rm("/full", recursive=True)


def test_a_folder_in_place_of_a_file_is_a_finding_and_others_are_read(tmp_path):
    build(write_corpus(tmp_path / "corpus", languages=("fra", "ita", "ron")), tmp_path / "shards")
    for name in ("fra/vocab.json", "ita/train-000000.tar"):
        (tmp_path / "shards" / name).unlink()
        (tmp_path / "shards" / name).mkdir()
    fra, ita, ron = verify_shards(str(tmp_path / "shards"), None, workers=1, advance=lambda _: None)
    assert [str(problem) for problem in fra.problems] == [
        f"{tmp_path}/shards/fra/vocab.json cannot be read: Is a directory"
    ]
    assert any(
        f"shard {tmp_path}/shards/ita/train-000000.tar cannot be read" in str(problem) for problem in ita.problems
    )
    assert (ita.utterances, ron.utterances, ron.problems) == (15, 20, [])
