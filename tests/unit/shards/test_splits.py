"""The names of splits are those that corpora use."""

import pytest

from shards.errors import ShardsError
from shards.splits import parse_split


def test_an_unknown_split_is_named_with_the_known_ones():
    assert [parse_split(name) for name in ("train", "validation", "Test")] == ["train", "dev", "test"]
    with pytest.raises(ShardsError, match=r"'trian' is unknown: expected one of train, dev, test"):
        parse_split("trian")
