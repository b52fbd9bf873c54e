"""What a language brings: its work, in how many shares its batch can be cut, and what is left out."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.errors import ConfigError
from shards.errors import MissingColumnError
from shards.flags.names import FLAGS_COLUMN
from shards.schema import TABLE_NAME
from tests.corpus import build_toy_shards
from tests.training import toy_config

ENTRY = LanguageSummary(
    language="taa", utterances=12, seconds=30.0, left_out=0, vocabulary_size=9, steps=10, batch_seconds=5.0
)
SMALL = replace(ENTRY, seconds=4.0)
"""All that it has is less than a batch."""


@pytest.mark.parametrize(
    ("entry", "done", "seconds"),
    [(ENTRY, 0, 50.0), (ENTRY, 4, 30.0), (ENTRY, 10, 0.0), (ENTRY, 12, 0.0), (SMALL, 0, 40.0), (SMALL, 4, 24.0)],
)
def test_work_yet_to_do_is_the_steps_left_times_what_a_batch_can_hold(
    entry: LanguageSummary, done: int, seconds: float
) -> None:
    assert entry.work_seconds(done) == seconds


def test_a_batch_can_be_cut_into_as_many_shares_as_it_has_utterances() -> None:
    assert (ENTRY.work.seconds, ENTRY.work.most_owners) == (5.0, 2)
    assert (SMALL.work.seconds, SMALL.work.most_owners) == (4.0, 12)
    assert replace(ENTRY, batch_seconds=0.1).work.most_owners == 1


def test_what_is_too_long_is_left_out_and_counted(tmp_path: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=6, dev=1)
    (whole,) = summarise_languages(toy_config(tmp_path / "run", Path("tiny-mms"), shards))[1]
    assert (whole.utterances, whole.left_out) == (6, 0)
    longest = 1.5
    config = toy_config(tmp_path / "run", Path("tiny-mms"), shards, data={"max_seconds": longest})
    (some,) = summarise_languages(config)[1]
    assert 0 < some.utterances < 6 and some.left_out == 6 - some.utterances
    assert some.seconds <= longest * some.utterances and some.seconds < whole.seconds


def test_what_is_flagged_is_left_out_on_request_and_counted(tmp_path: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=1, train=6, dev=1)
    place = shards / "taa" / TABLE_NAME
    table = pyarrow.parquet.read_table(place)
    flags = pyarrow.array(["clipped", "", "mostly_silent,clipped"] + [""] * (len(table) - 3))
    changed = table.set_column(table.column_names.index(FLAGS_COLUMN), FLAGS_COLUMN, flags)
    pyarrow.parquet.write_table(changed, place)
    config = toy_config(tmp_path / "run", Path("tiny-mms"), shards, data={"leave_out_flagged": ["clipped"]})
    (some,) = summarise_languages(config)[1]
    assert (some.utterances, some.flagged, some.left_out) == (4, 2, 0)
    pyarrow.parquet.write_table(table.drop_columns([FLAGS_COLUMN]), place)
    with pytest.raises(MissingColumnError, match="mms-dist shards flag"):
        summarise_languages(config)
    with pytest.raises(ConfigError, match="did you mean 'clipped'"):
        toy_config(tmp_path / "run", Path("tiny-mms"), shards, data={"leave_out_flagged": ["clippd"]})
