"""`mms-dist languages` prints what a code or name stands for, as a table and as JSON."""

import json
import subprocess
import sys

import pytest

from launcher.cli import main


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["languages", *words, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_without_a_query_all_languages_of_mms_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert len(found) == 1198
    assert all(one["adapters"] for one in found)
    assert next(one for one in found if one["code"] == "azj-script_latin") == {
        "code": "azj-script_latin",
        "name": "North Azerbaijani (Latin)",
        "script": "Latn",
        "macrolanguage": "aze",
        "aliases": next(one["aliases"] for one in found if one["code"] == "azj-script_latin"),
        "adapters": ["facebook/mms-1b-all", "facebook/mms-1b-fl102"],
    }


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("ro", ["ron"]),
        ("pt-BR", ["por"]),
        ("sr", ["srp-script_cyrillic", "srp-script_latin", "srp"]),
        ("no", ["nno", "nob"]),
        ("nan", ["nan"]),
        ("mingrel", ["xmf"]),
        ("Uyghur", ["uig-script_arabic", "uig-script_cyrillic", "uig"]),
        ("qaa", []),
    ],
)
def test_a_query_lists_what_it_may_stand_for(query: str, codes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["code"] for one in listed(capsys, query)] == codes


def test_the_table_says_how_a_query_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["languages", "pt_br"]) == 0
    out = capsys.readouterr().out
    assert "Portuguese" in out and "'pt_br' is read as por" in out
    assert main(["languages", "no"]) == 0
    assert "'no' may be any of nno, nob" in capsys.readouterr().out
    assert main(["languages", "lvs"]) == 0
    assert "MMS has no adapter of this name" in capsys.readouterr().out


def test_an_unknown_language_is_an_error_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["languages", "Romanain"]) == 2
    assert "ron (Romanian)" in capsys.readouterr().err


def test_the_command_loads_nothing_heavy() -> None:
    program = "import sys; from launcher.cli import main; main(['languages', 'ro']); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pyarrow", "transformers"} & set(result.stdout.split())
