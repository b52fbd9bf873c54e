"""Languages from a table of hours."""

import json
from pathlib import Path

import pytest

from mms_dist.config import parse_config
from mms_dist.errors import ConfigError
from mms_dist.planning.hours import TOKENS, UTTERANCE_SECONDS, read_hours

CONFIG = parse_config(
    {"optim": {"steps": 300, "batch_seconds": 100.0, "warmup_steps": 9}, "languages": {"ron": {"optim": {"steps": 50}}}}
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.tsv", "ron\t2\t900\nita\t0.01\n"),
        ("h.tsv", "language\thours\tutterances\nron\t2\t900\n\nita\t0.01\t\n"),
        ("h.csv", "hours,language,utterances\n2,ron,900\n0.01,ita,\n"),
        (
            "h.json",
            json.dumps([{"language": "ron", "hours": 2, "utterances": 900}, {"language": "ita", "hours": 0.01}]),
        ),
        ("h.json", json.dumps({"ron": {"hours": 2, "utterances": 900}, "ita": 0.01})),
    ],
)
def test_a_table_says_the_same_in_every_format(tmp_path: Path, name: str, text: str) -> None:
    italian, romanian = read_hours(written(tmp_path, name, text), CONFIG)
    assert (romanian.language, romanian.seconds, romanian.utterances, romanian.steps) == ("ron", 7200, 900, 50)
    assert (italian.language, italian.seconds, italian.steps) == ("ita", 36, 300)
    assert italian.utterances == round(36 / UTTERANCE_SECONDS) and italian.vocabulary_size == TOKENS
    assert italian.work.seconds == 36 and romanian.work.seconds == 100, "a batch is at most all there is"
    assert romanian.work.most_owners == int(900 * 100 / 7200)


def test_steps_and_tokens_of_the_table_go_before_the_configuration(tmp_path: Path) -> None:
    table = written(tmp_path, "h.tsv", "language\thours\tsteps\ttokens\nron\t2\t7\t31\n")
    (entry,) = read_hours(table, CONFIG)
    assert (entry.steps, entry.vocabulary_size) == (7, 31)


def test_only_the_languages_of_the_run_are_planned(tmp_path: Path) -> None:
    config = parse_config({"data": {"languages": ["ita"]}})
    table = written(tmp_path, "h.tsv", "ron\t2\nita\t1\n")
    assert [entry.language for entry in read_hours(table, config)] == ["ita"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.tsv", "ron\t2\nron\t3\n", "line 2: ron is there a second time"),
        ("h.tsv", "ron\tmany\n", "line 1: found hours 'many', expected a number above 0"),
        ("h.tsv", "ron\n", "line 1: found hours None"),
        ("h.tsv", "ron\t2\t1.5\n", "line 1: found utterances '1.5', expected a whole number"),
        ("h.tsv", "language\tduration\nron\t2\n", "found the headings language, duration"),
        ("h.tsv", "ita\t2\n", "languages names ron"),
        ("h.json", "[1, 2]", "found no list of objects"),
        ("h.json", "{", "is not JSON"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_by_place_and_reason(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_hours(written(tmp_path, name, text), CONFIG)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.tsv: No such file"):
        read_hours(tmp_path / "none.tsv", CONFIG)
