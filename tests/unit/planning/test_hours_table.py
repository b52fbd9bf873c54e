"""Languages from a table of hours."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.config import Config, parse_config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.errors import ConfigError
from mms_dist.planning.hours_table import TOKENS, UTTERANCE_SECONDS, read_hours

CONFIG = parse_config(
    {"optim": {"steps": 300, "batch_seconds": 100.0, "warmup_steps": 9}, "languages": {"ron": {"optim": {"steps": 50}}}}
)


def hours_of(path: Path, config: Config) -> list[LanguageSummary]:
    return read_hours(
        path,
        lambda language: config.for_language(language).optim,
        languages=config.data.languages,
        overridden=config.languages,
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
        ("h.csv", "ron;2,0;900\nita;0,01\n"),
        ("h.csv", "\ufefflang;hours;utterances\r\nron;2,0;900\r\nita;0,01;\r\n"),
        ("h.csv", 'language,hours,utterances\n"ron","2,0",900\nita,"0,01",\n'),
        ("h.tsv", "Language\tHours\tUtterances\tspeakers\nron\t2,0\t900\t7\nita\t0,01\t\t1\n"),
        ("h.txt", '{"ron": {"hours": "2,0", "utterances": 900}, "ita": "0.01"}'),
    ],
)
def test_a_table_says_the_same_in_every_format(tmp_path: Path, name: str, text: str) -> None:
    italian, romanian = hours_of(written(tmp_path, name, text), CONFIG)
    assert (romanian.language, romanian.seconds, romanian.utterances, romanian.steps) == ("ron", 7200, 900, 50)
    assert (italian.language, italian.seconds, italian.steps) == ("ita", 36, 300)
    assert italian.utterances == round(36 / UTTERANCE_SECONDS) and italian.vocabulary_size == TOKENS
    assert italian.work.seconds == 36 and romanian.work.seconds == 100, "a batch is at most all there is"
    assert romanian.work.most_owners == int(900 * 100 / 7200)


def test_steps_and_tokens_of_the_table_go_before_the_configuration(tmp_path: Path) -> None:
    table = written(tmp_path, "h.tsv", "language\thours\tsteps\ttokens\nron\t2\t7\t31\n")
    (entry,) = hours_of(table, CONFIG)
    assert (entry.steps, entry.vocabulary_size) == (7, 31)


def test_only_the_languages_of_the_run_are_planned(tmp_path: Path) -> None:
    config = parse_config({"data": {"languages": ["ita"]}})
    table = written(tmp_path, "h.tsv", "ron\t2\nita\t1\n")
    assert [entry.language for entry in hours_of(table, config)] == ["ita"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.tsv", "ron\t2\nron\t3\n", "line 2: ron is listed twice, first in line 1"),
        ("h.csv", "ron;12,5\nita;3.5\n", "found '3.5' in line 2 and '12,5' in line 1"),
        ("h.csv", "ron;1.234\n", "line 1: found hours '1.234'.* may mean 1234 or 1.234"),
        ("h.tsv", "ita\t1\nron\t1,234\n", "line 2: found hours '1,234'.* may mean 1234 or 1.234"),
        ("h.tsv", "ron\t2\t12.000\n", "line 1: found utterances '12.000'.* may mean 12000"),
        ("h.csv", "ron,12,5\n", "line 1: found more than two comma-separated columns without a header"),
        ("h.csv", "language,hours\nron,12,5\n", "line 2: found 3 columns, expected at most 2"),
        ("h.csv", "language,hours,utterances\nron,12,5\n", "line 2: found 12 hours in 5 utterances, 8,640 s each"),
        ("h.tsv", "ron\t12.5 h\n", "line 1: found hours '12.5 h'.*without a unit: 12.5"),
        ("h.tsv", "ron\t3:30\n", "write 3.5"),
        *(("h.tsv", f"ron\t{text}\n", "line 1: found hours") for text in ("-1", "0", "nan", "inf", "1e9", "1e400", "")),
        ("h.tsv", "no\t1\n", "line 1: language 'no' may be several.*nno.*nob"),
        ("h.tsv", "xqz\t1\n", "language 'xqz' is unknown"),
        ("h.csv", "language,hours,hours\nron,1,2\n", "the column hours is given twice"),
        ("h.csv", "language,hour\nron,1\n", "found a column 'hour'; did you mean 'hours'"),
        ("h.csv", 'ron,"1\n', "line 1: .*close the quotes"),
        ("h.json", '{"ron": 1,\n"ita": 2,\n"ron": 3}', "'ron' is given twice, in lines 1 and 3"),
        ("h.json", '[{"language": "ron", "hours": 1, "hours": 2}]', "'hours' is given twice"),
        ("h.json", '{"ron": true}', "found hours True, expected a number"),
        ("h.json", '{"ron": {"hours": 1, "utterances": true}}', "found utterances True"),
        ("h.json", '{"ron": null}', "found hours None"),
        ("h.json", '{"ron": NaN}', "found NaN, expected a finite number"),
        ("h.json", '{"no": 3}', "nno .*, nob"),
        ("h.json", '[{"language": false, "hours": 1}]', "language code False, as YAML reads no"),
        ("h.json", "[" * 100_000, "nested too deeply"),
        ("h.tsv", "ron\tmany\n", "line 1: found hours 'many', expected a number above 0"),
        ("h.tsv", "ron\n", "line 1: found hours None"),
        ("h.tsv", "ron\t2\t1.5\n", "line 1: found utterances '1.5', expected a whole number"),
        ("h.tsv", "language\tduration\nron\t2\n", "found the headings language, duration"),
        ("h.tsv", "ita\t2\n", "languages names ron"),
        ("h.json", "[1, 2]", "found neither a list of objects"),
        ("h.json", "{", "is not JSON"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_by_place_and_reason(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        hours_of(written(tmp_path, name, text), CONFIG)


def test_a_table_in_utf_16_is_read_and_other_bytes_are_refused(tmp_path: Path) -> None:
    config = parse_config({})
    path = tmp_path / "h.tsv"
    path.write_bytes("ron\t2\n".encode("utf-16"))
    assert hours_of(path, config)[0].seconds == 7200
    path.write_bytes(b"ron\t2\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        hours_of(path, config)
    with pytest.raises(ConfigError, match="it is a folder"):
        hours_of(tmp_path, config)


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["ron", "\t", ";", ",", "1", ".5", "\n", '"', "{", "[", ":", "hours", "language", "null", "true", "e9"]
            ),
            max_size=14,
        ).map("".join),
    )
)
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_any_text_is_a_table_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    config = parse_config({})
    for name in ("any.tsv", "any.json"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigError):
            hours_of(path, config)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.tsv: No such file"):
        hours_of(tmp_path / "none.tsv", CONFIG)
