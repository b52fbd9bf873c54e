"""The table of languages that the package ships is the one that the tool makes of its lists."""

from pathlib import Path

import pytest

from shards.language_table import language_table

FOLDER = Path(__file__).parents[3] / "tools" / "language_table"


@pytest.mark.parametrize(("name", "model"), [("all", "facebook/mms-1b-all"), ("fl102", "facebook/mms-1b-fl102")])
def test_the_table_has_the_adapters_of_the_lists(name: str, model: str) -> None:
    listed = (FOLDER / f"{name}_codes.txt").read_text().split()
    assert len(listed) == len(set(listed))
    assert {one.code for one in language_table() if model in one.models} == set(listed)


def test_every_curated_spelling_is_in_the_table() -> None:
    lines = (FOLDER / "curated.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            key, codes = line.split("\t")
            for code in codes.split():
                language = language_table().by_code[code]
                assert key in (language.name, *language.aliases), (key, code)


def test_the_scripts_of_the_list_are_those_of_the_table() -> None:
    for line in (FOLDER / "scripts.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            script, codes = line.split("\t")
            assert {language_table().by_code[code].script for code in codes.split()} == {script.strip("?")}
