"""`mms-dist shards inspect` shows who speaks, from which sources, and what test shares with train."""

import json
import shutil

import matplotlib.image
import pyarrow.parquet
import pytest

from launcher.cli import main
from shards.index import ShardIndex
from shards.index.sample_table import LATER_COLUMNS
from shards.inspect_shards import facts_of, leaks_of
from shards.schema import TABLE_NAME
from tests.shard_samples import build, write_corpus


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Romanian with a speaker of 80 %, and Italian with one of 20 % and unknown ones."""
    folder = tmp_path_factory.mktemp("inspect")
    manifest = write_corpus(folder / "corpus", languages=("ron", "ita"), utterances=40)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        loud = number % 5 != 0 if line["lang"] == "ron" else number % 5 == 0
        line["speaker"] = "anna" if loud else f"s{number % 3}" if line["lang"] == "ron" else ""
        line |= {"source": ("radio", "books")[number % 4 == 0], "accent": ("north", "south")[number % 2]}
        line["split"] = "dev" if number % 10 == 3 else "test" if number % 10 == 7 else "train"
    lines[3]["text"] = lines[4]["text"] + "s"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    build(manifest, folder / "shards", shard_utterances=40)
    return folder / "shards"


def facts(shards, code="ron"):
    return facts_of(ShardIndex.load(str(shards)).language(code))


def test_hours_of_every_group_add_up_to_the_training_audio(shards):
    for code in ("ron", "ita"):
        found = facts(shards, code)
        for groups in (found.speakers, found.sources, found.tags["accent"]):
            assert sum(group.seconds for group in groups) == pytest.approx(found.seconds)
            assert [group.seconds for group in groups] == sorted((group.seconds for group in groups), reverse=True)
        assert {group.name for group in found.sources} == {"radio", "books"}
    assert facts(shards).speakers[0].name == "anna" and facts(shards).speakers[0].seconds > 0.6 * facts(shards).seconds
    assert [group.name for group in facts(shards, "ita").speakers] == ["", "anna"]


def test_the_command_shows_shares_and_hours_and_the_same_as_json(shards, capsys):
    assert main(["shards", "inspect", str(shards), "--lang", "ron"]) == 0
    out = capsys.readouterr().out
    for text in ("Speakers and sources", "ron, speakers of the training audio", "tag accent", "anna ███", "utterances"):
        assert text in out
    assert main(["shards", "inspect", str(shards), "--json", "--leaks"]) == 0
    ita, ron = json.loads(capsys.readouterr().out)
    assert ron["language"] == "ron" and ron["speakers"][0]["name"] == "anna" and ita["tags"]["accent"]
    assert ron["leaks"].keys() == {"dev", "test"} and ron["split_problems"][0]["found"].startswith("ron: ")


def test_a_sentence_of_dev_that_is_nearly_in_train_is_found(shards):
    index = ShardIndex.load(str(shards))
    equal, near = leaks_of(index, "ron")["dev"]
    assert equal == 0
    (pair,) = [pair for pair in near if pair.held_out.endswith("s")]
    assert pair.held_out == f"{pair.train}s" and pair.similarity > 0.9


def test_scores_are_shown_and_drawn_where_utterances_have_them(shards, tmp_path, capsys):
    scored = shutil.copytree(shards, tmp_path / "scored")
    table = pyarrow.parquet.read_table(scored / "ron" / TABLE_NAME)
    values = [-0.25 * (row % 4) if row else None for row in range(len(table))]
    table = table.append_column("align_score", pyarrow.array(values, pyarrow.float32()))
    pyarrow.parquet.write_table(table, scored / "ron" / TABLE_NAME)
    assert main(["shards", "inspect", str(scored), "--plot", str(tmp_path / "scores.png")]) == 0
    out = capsys.readouterr().out
    assert "Scores of alignment" in out and "39 of 40" in out
    assert main(["shards", "inspect", str(scored), "--json"]) == 0
    ita, ron = json.loads(capsys.readouterr().out)
    assert ita["scores"] is None and ron["scores"]["utterances"] == 39 and ron["scores"]["quantiles"]["0.5"] == -0.5


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_plot_is_written_in_the_format_of_its_name(shards, tmp_path, ending, capsys):
    path = tmp_path / f"corpus.{ending}"
    assert main(["shards", "inspect", str(shards), "--plot", str(path)]) == 0
    assert "drawn: " in capsys.readouterr().out and path.stat().st_size > 5000
    if ending == "png":
        assert matplotlib.image.imread(path).shape[1] > 1000


def test_a_plot_in_an_unknown_format_is_an_error_and_leaves_no_file(shards, tmp_path, capsys):
    assert main(["shards", "inspect", str(shards), "--plot", str(tmp_path / "corpus.xyz")]) == 2
    assert "pass --plot FILE.png" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_shards_of_an_earlier_version_show_the_rest_and_name_the_command(shards, tmp_path, capsys):
    old = shutil.copytree(shards, tmp_path / "old")
    for code in ("ron", "ita"):
        table = pyarrow.parquet.read_table(old / code / TABLE_NAME)
        pyarrow.parquet.write_table(table.drop_columns(list(LATER_COLUMNS)), old / code / TABLE_NAME)
    assert main(["shards", "inspect", str(old)]) == 0
    out = capsys.readouterr().out
    assert "mms-dist shards index" in out and "1 more language without it" in out and "anna" in out
