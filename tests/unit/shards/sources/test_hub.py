"""Datasets on the Hub become shards over the network, from a server that the test starts."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from shards.errors import SourceError
from shards.sources.hub_dataset import HubConfiguration, choose_configurations, choose_splits
from shards.sources.source_place import HubName
from tests.layouts.hub_server import REVISION, hub_server
from tests.layouts.hugging_face import (
    write_audiofolder,
    write_fleurs_parquet,
    write_parquet,
    write_table_with_clips,
    write_webdataset,
    write_zips,
)
from tests.layouts.utterances import stored, summary, utterances

SPOKEN = utterances()
CARD = """---
configs:
- config_name: ro_ro
  data_files:
  - {split: train, path: ro_ro/data/train-*}
  - {split: validation, path: ro_ro/data/validation-*}
  - {split: test, path: ro_ro/data/test-*}
- config_name: it_it
  data_files:
  - {split: train, path: it_it/data/train-*}
  - {split: validation, path: it_it/data/validation-*}
  - {split: test, path: it_it/data/test-*}
---
"""


RUN = """
import contextlib, io, json, sys
from launcher.cli import main
results = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["shards", "build", *arguments, "--workers", "1"])
    results.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str


def build_all(folder, builds, **environment):
    """Run several builds in a process of their own: the address of the Hub is read when its library is imported."""
    root = str(Path(__file__).parents[4])
    own = {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "0", "PYTHONPATH": root, **environment}
    command = [sys.executable, "-c", RUN, json.dumps(builds)]
    done = subprocess.run(command, env={**os.environ, **own}, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [Done(*each) for each in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with shards, what each build did, and what was asked of the server."""
    folder = tmp_path_factory.mktemp("work")
    with hub_server(folder / "hub") as server:
        for name, language in (("ro_ro", "ron"), ("it_it", "ita")):
            write_parquet(server.folder / "owner" / "toy" / name, utterances(language=language))
        (server.folder / "owner" / "toy" / "README.md").write_text(CARD)
        write_parquet(server.folder / "owner" / "plain", utterances(train=100), files=1, row_group=50)
        write_audiofolder(server.folder / "owner" / "clips", SPOKEN, "jsonl")
        for language in ("ro_ro", "it_it"):
            write_fleurs_parquet(server.folder / "owner" / "fleurs" / language, SPOKEN, language)
        write_webdataset(server.folder / "owner" / "web", SPOKEN)
        write_zips(server.folder / "owner" / "zips", SPOKEN)
        write_table_with_clips(server.folder / "owner" / "table", SPOKEN, "csv")
        write_table_with_clips(server.folder / "owner" / "paths", SPOKEN, "parquet")
        server.refused["train/clips/ron-003.flac"] = 1
        clips = ["owner/clips", "clips", "--lang", "ron", "--shard-utterances", "2"]
        builds = {
            "toy": ["owner/toy", "toy", "--lang", "ron", "ita"],
            "plain": ["owner/plain", "plain", "--lang", "ron", "--dry-run"],
            "refused": clips,
            "clips": clips,
            "folder": ["owner/fleurs:ro_ro@refs/convert/parquet", "folder"],
            "languages": ["owner/fleurs", "languages", "--lang", "it", "--dry-run"],
            "nowhere": ["owner/fleurs:fr_fr", "nowhere"],
            "missing": ["owner/nothing", "nothing"],
            "web": ["owner/web", "web"],
            "zips": ["owner/zips", "zips", "--lang", "ron"],
            "table": ["owner/table", "table", "--lang", "ron"],
            "paths": ["owner/paths", "paths", "--lang", "ron"],
        }
        results = dict(zip(builds, build_all(folder, list(builds.values()), HF_ENDPOINT=server.url), strict=True))
        yield folder, results, server.requests


def test_configurations_are_languages_and_their_splits_become_shards(built):
    folder, results, _ = built
    assert results["toy"].status == 0, results["toy"].err
    spoken = [*SPOKEN, *utterances(language="ita")]
    found = stored(folder / "toy")
    assert summary(found) == summary(spoken)
    assert {(one.speaker, one.tags["gender"]) for one in found} == {(one.speaker, one.gender) for one in spoken}


def test_a_folder_of_the_branch_with_parquet_files_is_chosen_by_its_name(built):
    folder, results, _ = built
    assert results["folder"].status == 0, results["folder"].err
    found = stored(folder / "folder")
    assert [(one.language, one.split, one.text) for one in found] == sorted(
        ("ron", one.split, one.text) for one in SPOKEN
    )
    assert {one.tags["gender"] for one in found} == {"male", "female"}
    assert results["languages"].status == 0 and "ita" in results["languages"].out, results["languages"].err
    assert "no configuration or folder 'fr_fr'" in results["nowhere"].err


def test_the_revision_is_said_and_stored_with_every_sample(built):
    folder, results, _ = built
    assert f"owner/toy: read at revision {REVISION}" in results["toy"].out
    base = f"hf://datasets/owner/toy@{REVISION}/it_it/data"
    sources = {one.source for one in stored(folder / "toy") if (one.language, one.split) == ("ita", "test")}
    assert sources == {f"{base}/test-0000{number}-of-00002.parquet:1" for number in (0, 1)}


def test_parquet_files_are_read_in_ranges_and_never_copied(built):
    folder, results, requests = built
    assert results["plain"].status == 0 and "source: hub (recognised" in results["plain"].out
    # Those of owner/paths have no audio.
    copied = [path for path in (folder / "home").rglob("*.parquet") if "--paths" not in str(path)]
    assert not (folder / "plain").exists() and not copied
    files = [(path, span) for method, path, span in requests if path.endswith(".parquet") and method == "GET"]
    read = [(path, span) for path, span in files if "/paths/" not in path]
    assert read and all(span for _, span in read)
    # A plan needs the texts and not the recordings.
    spans = [span.removeprefix("bytes=").split("-") for path, span in read if "/plain/" in path and "train-" in path]
    size = (folder / "hub" / "owner" / "plain" / "data" / "train-00000-of-00001.parquet").stat().st_size
    assert 0 < sum(int(last) - int(first) for first, last in spans) < size / 2


def test_recordings_in_files_of_their_own_are_read_when_they_are_decoded(built):
    folder, results, _ = built
    assert results["clips"].status == 0, results["clips"].err
    assert summary(stored(folder / "clips")) == summary(SPOKEN)
    assert not list((folder / "home").rglob("*.flac"))


@pytest.mark.parametrize("kind", ["web", "zips", "table", "paths"])
def test_tars_archives_and_tables_are_read_where_they_are(built, kind):
    folder, results, _ = built
    assert results[kind].status == 0, results[kind].err
    assert summary(stored(folder / kind)) == summary(SPOKEN)
    assert not [path for ending in ("tar", "zip", "wav") for path in (folder / "home").rglob(f"*.{ending}")]


def test_a_refused_recording_stops_its_language_and_the_next_build_goes_on(built):
    _, results, requests = built
    failed = results["refused"]
    assert failed.status != 0 and "Traceback" not in failed.err
    assert "ron-003.flac cannot be read" in failed.err and "run the same command again to go on" in failed.err
    asked = Counter(path for method, path, _ in requests if method == "GET" and path.endswith(".flac"))
    assert asked and min(asked.values()) == 1  # what was in finished shards was not read again


def test_what_is_not_there_or_not_reached_says_what_to_do(built, tmp_path):
    missing = built[1]["missing"]
    assert missing.status == 2 and "Traceback" not in missing.err
    assert "doesn't exist on the Hub" in missing.err and "no file or folder owner/nothing" in missing.err
    (offline,) = build_all(tmp_path, [["owner/nothing", "out"]], HF_HUB_OFFLINE="1")
    assert offline.status == 2 and "Traceback" not in offline.err
    assert "hf download owner/nothing --repo-type dataset --local-dir FOLDER" in offline.err


def test_configurations_are_chosen_by_name_or_language():
    name = HubName("owner/name")
    found = [HubConfiguration(code, codes) for code, codes in (("ro", ("ron",)), ("pt", ("por",)), ("all", ()))]
    assert choose_configurations(name, found, ["por"]) == [found[1]]
    assert choose_configurations(name, found[:1], ["por"]) == [found[0]]
    assert choose_configurations(HubName("owner/name", "all"), found, ["por"]) == [found[2]]
    with pytest.raises(
        SourceError, match=r"has 3 configurations: ro, pt, all; name one, as owner/name:ro, or .*--lang"
    ):
        choose_configurations(name, found, [])
    with pytest.raises(SourceError, match=r"none of them of fra: ro"):
        choose_configurations(name, found, ["fra"])
    with pytest.raises(SourceError, match=r"no configuration 'por'.*; it has ro, pt, all"):
        choose_configurations(HubName("owner/name", "por"), found, [])


def test_splits_are_read_by_their_names_and_one_alone_is_none():
    name = HubName("owner/name")
    assert choose_splits(name, ["train"], None).read == {"train": None}
    several = ["train.clean.100", "validation.clean", "test.other", "validated", "other"]
    chosen = choose_splits(name, several, None)
    assert chosen.read == {"train.clean.100": "train", "validation.clean": "dev", "test.other": "test"}
    assert chosen.left == ["validated", "other"]
    assert choose_splits(name, ["train", "eval"], None).read == {"train": "train", "eval": "dev"}
    assert choose_splits(name, several, "validated").read == {"validated": None}
    with pytest.raises(SourceError, match=r"--split-from valid: owner/name has no such split .*'validated'"):
        choose_splits(name, several, "valid")
    with pytest.raises(
        SourceError, match=r"no split of owner/name is train, dev or test; it has a, b; .* --split-from a"
    ):
        choose_splits(name, ["a", "b"], None)
