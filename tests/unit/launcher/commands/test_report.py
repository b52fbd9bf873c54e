"""`mms-dist report`: text unless a page is asked for, of one run or of several."""

import json
from pathlib import Path

import pytest

from launcher.cli import main
from tests.report_samples import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report"), languages=2)


def test_the_page_lies_in_the_run_unless_a_file_is_given(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "new" / "page.html"
    for flags, path in (([], run / "report.html"), ([str(given)], given)):
        assert main(["report", str(run), "--html", *flags]) == 0
        assert capsys.readouterr().out.startswith(f"page:   {path} (")
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in given.parent.iterdir()] == ["page.html"]


def test_audio_has_a_budget(run: Path, tmp_path: Path) -> None:
    pages = []
    for mib in ("0", "0.005", "1"):
        assert main(["report", str(run), "--html", str(tmp_path / "page.html"), "--audio-mib", mib]) == 0
        pages.append((tmp_path / "page.html").read_text(encoding="utf-8").count("<audio"))
    assert pages[0] == 0 < pages[1] < pages[2]


def test_without_a_page_the_report_is_text_for_every_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    once = capsys.readouterr().out
    assert main(["report", str(run), str(run)]) == 0
    both = capsys.readouterr().out
    assert "tab " in once and "2 finished" in once and "html" not in once
    assert both.count(str(run) + "\n") == 2 and both.count("2 finished") == 2


def test_json_of_several_runs_is_a_list(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--json"]) == 0
    once = json.loads(capsys.readouterr().out)
    assert main(["report", str(run), str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": [once, once]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "{run}", "--html"], "pass --html FILE"),
        (["{run}", "{run}", "--plot", "{tmp}/curves.png"], "pass one RUN"),
        (["{run}", "--html", "{tmp}"], "is a folder, expected a file"),
        (["{tmp}", "--html"], "is not a run"),
        (["{run}", "--html", "{run}/config.yaml/page.html"], "choose another path"),
        (["{run}", "--html", "--audio-mib", "-1"], "expected a number of 0 or more"),
    ],
)
def test_what_cannot_be_written_is_an_error_with_a_fix(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["report", *(each.format(run=run, tmp=tmp_path) for each in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
