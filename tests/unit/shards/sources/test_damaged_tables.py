"""Whatever happens to the tables of a corpus, its rows are read, or an error names the table."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shards.errors import SourceError
from shards.sources.registry import SOURCES, read_source
from tests.layouts.books import write_ljspeech, write_mls, write_voxpopuli
from tests.layouts.common_voice import write_common_voice, write_spontaneous
from tests.layouts.fleurs import write_fleurs
from tests.layouts.utterances import utterances

LAYOUTS = {
    "common-voice": (write_common_voice, "ro", "dev.tsv"),
    "spontaneous-speech": (write_spontaneous, "ro", "ss-corpus-ro.tsv"),
    "fleurs": (write_fleurs, "ro_ro", "dev.tsv"),
    "ljspeech": (write_ljspeech, "ro", "metadata.csv"),
    "mls": (write_mls, "mls_polish", "dev/transcripts.txt"),
    "voxpopuli": (write_voxpopuli, "ro", "asr_dev.tsv"),
}
PIECES = [
    b"\t",
    b"|",
    b"\n",
    b"\r",
    b'"',
    b"\0",
    b"\xff",
    b"\xed\xa0\xbd",
    b"..",
    b"/",
    b"http://x/",
    b"x" * 300,
    b"9" * 5000,
]


@pytest.fixture(scope="module", params=LAYOUTS)
def corpus(request, tmp_path_factory):
    """A folder, its kind and its table."""
    write, name, table = LAYOUTS[request.param]
    folder = write(tmp_path_factory.mktemp(request.param) / name, utterances(train=3, dev=3, test=1))
    return folder, request.param, folder / table


@st.composite
def damages(draw):
    """Places in a table, how much is taken out there, and what is put in."""
    return draw(
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=5)
    )


def test_every_layout_of_this_module_is_a_source():
    assert {source.name for source in SOURCES} >= LAYOUTS.keys()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages(), skip=st.booleans())
def test_a_damaged_table_gives_rows_or_an_error_that_names_it(corpus, damage, skip):
    folder, kind, table = corpus
    whole = table.read_bytes()
    content = bytearray(whole)
    for place, taken, piece in damage:
        start = int(place * len(content))
        content[start : start + taken] = piece
    table.write_bytes(content)
    try:
        rows = list(read_source(folder, kind=kind, language="ron", skip_bad_rows=skip))
    except SourceError as error:
        assert table.name in str(error) or str(folder) in str(error)
        str(error).encode()
    else:
        assert len(rows) <= len(content.splitlines()) + 7
        json.dumps([[row.name, row.text, row.speaker, row.tags] for row in rows], ensure_ascii=False).encode()
        assert all(row.audio.check() for row in rows)
    finally:
        table.write_bytes(whole)


def test_a_table_that_cannot_be_read_is_named(corpus, tmp_path):
    folder, kind, table = corpus
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    copy.joinpath(table.relative_to(folder)).write_bytes("id\ttext\n".encode("utf-16"))
    with pytest.raises(SourceError, match=rf"{table.name} is UTF-16, or not text, expected UTF-8; convert it"):
        read_source(copy, kind=kind, language="ron")
