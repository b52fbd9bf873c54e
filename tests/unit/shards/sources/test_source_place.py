"""What the user gave as SOURCE is a path, a name on the Hub or a URL; what exists here is always a path."""

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from shards.sources.source_place import HubName, SourcePlace


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("google/fleurs", HubName("google/fleurs")),
        ("google/fleurs:ro_ro", HubName("google/fleurs", "ro_ro")),
        ("a-b/c_17.0:zh-CN@v1.2", HubName("a-b/c_17.0", "zh-CN", "v1.2")),
        ("owner/name@refs/convert/parquet", HubName("owner/name", None, "refs/convert/parquet")),
        ("hf://datasets/owner/name@main", HubName("owner/name", None, "main")),
        ("https://huggingface.co/datasets/owner/name/", HubName("owner/name")),
        ("name", None),
        ("a/b/c", None),
        ("./owner/name", None),
        ("/owner/name", None),
        ("s3://owner/name", None),
        ("owner/na me", None),
        ("owner/name:", None),
    ],
)
def test_a_name_on_the_hub_has_an_owner_and_perhaps_more(written, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SourcePlace(written).hub_name == name


def test_what_exists_on_this_machine_is_never_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert SourcePlace("owner/name").hub_name is None
    assert SourcePlace("owner/nmae").hub_name is None  # beside it, so it is a misspelt path
    assert SourcePlace("hf://datasets/owner/name").hub_name == HubName("owner/name")


def test_a_url_of_a_file_is_refused_with_what_to_do():
    with pytest.raises(SourceError, match=r"https://host/a\.zip is a URL, expected .*; download it first"):
        read_source("https://host/a.zip")
