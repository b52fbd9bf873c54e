"""A folder that cannot be written ends a build with one line that names the file, and nothing is left in it."""

import errno
import os
import re

import pytest

from launcher.cli import main
from shards.build import output_folder
from shards.build.corpus import is_built
from shards.build.language_build import BuildOptions
from shards.errors import ShardsError, SourceError
from tests.shard_samples import build, plans_of, write_corpus

REFUSALS = [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT]


@pytest.fixture
def manifest(tmp_path):
    return write_corpus(tmp_path / "corpus", utterances=3)


def failure(manifest, output):
    """Why the only language could not be built."""
    try:
        return str(build(manifest, output).failed["ron"])
    except ShardsError as error:
        return str(error)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("files", "folders", "message"),
    [
        (["out"], [], "out cannot be created: Not a directory"),
        (["out/.build"], [], "out cannot be created: File exists"),
        (["out/ron"], [], r"ron cannot be written to .*out: Not a directory \(.*out/ron\); fix that"),
        ([], ["out/.build/ron.lock"], r"ron cannot be written to .*out: Is a directory \(.*ron.lock\)"),
        ([], ["out/ron/index.json"], r"ron cannot be written to .*out: Is a directory \(.*index.json\)"),
        ([], ["out/.build/ron.json"], r"ron cannot be written to .*out: Is a directory \(.*ron.json\)"),
    ],
)
def test_files_and_folders_in_the_way_are_named(files, folders, message, manifest, tmp_path, capsys):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert re.search(message, failure(manifest, tmp_path / "out"))
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--workers", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--dry-run"]) in (0, 2)


@pytest.mark.parametrize("number", REFUSALS)
def test_a_folder_that_can_not_be_made_leaves_nothing(number, manifest, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(output_folder.Path, "mkdir", refuse)
    with pytest.raises(ShardsError, match=f"cannot be created: {os.strerror(number)}"):
        build(manifest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", REFUSALS)
def test_a_lock_that_can_not_be_written_is_an_error_of_the_folder(number, manifest, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(self.path))

    monkeypatch.setattr(output_folder.FileLock, "acquire", refuse)
    message = f"ron cannot be written to .*out: {os.strerror(number)} .*ron.lock"
    assert re.search(message, failure(manifest, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("name", ["state.json", "samples.parquet", "index.json", "ron.json"])
def test_a_file_that_can_not_be_written_leaves_no_language_half_done(name, number, manifest, tmp_path, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if os.path.basename(target) == name:
            raise OSError(number, os.strerror(number), str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        message = f"ron cannot be written to .*{name}.*finished shards are kept"
        assert re.search(message, failure(manifest, tmp_path / "out"))
    # the record of a build is written when its language is whole
    assert (tmp_path / "out" / "ron").exists() == (name == "ron.json")
    assert build(manifest, tmp_path / "out").failed == {}
    assert is_built(next(iter(plans_of(manifest))), tmp_path / "out", BuildOptions(shard_utterances=5))


def test_a_recording_that_goes_while_it_is_planned_is_named(manifest, tmp_path):
    plans = plans_of(manifest)
    (tmp_path / "corpus" / "ron" / "clip001.wav").unlink()
    with pytest.raises(SourceError, match=r"recording .*clip001.wav cannot be read: No such file"):
        is_built(next(iter(plans)), tmp_path / "out", BuildOptions())
    assert tree(tmp_path) == sorted(
        ["corpus", "corpus/corpus.jsonl", "corpus/ron", *(f"corpus/ron/clip00{n}.wav" for n in (0, 2))]
    )
