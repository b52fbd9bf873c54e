"""What users wrote is shown as it is: nothing in it is markup, an emoji code, Markdown or a formula."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from launcher import cli
from mms_dist.evaluation.metrics import score
from mms_dist.evaluation.table import evaluation_table
from mms_dist.monitor.event_lines import EventLines
from mms_dist.monitor.events import EventLog
from mms_dist.monitor.marked_transcripts import markdown_table
from mms_dist.monitor.monitor import Monitor
from shards.display.build_report import print_drops
from shards.display.terminal import Terminal, make_console, say
from tests.monitor_samples import PlannedLanguage

TEXTS = ["[bold]", "[/]", ":zero:", ":smile:", "[red]x[/red]", "\\[b]", "a\\", "[link=x]", "[[b]]", "$x_{$"]


def terminal() -> tuple[Terminal, io.StringIO]:
    told = io.StringIO()
    return Terminal(file=told, pipe_width=200), told


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("live", [False, True])
def test_the_monitor_shows_reasons_keys_and_paths_as_they_are(tmp_path: Path, text: str, live: bool) -> None:
    console, told = terminal()
    with Monitor(
        tmp_path / "r", languages=[PlannedLanguage("ron", 5, 9, 9.0)], live=live, tensorboard=False, console=console
    ) as monitor:
        monitor.start([f"shards {text}."])
        monitor.event("damaged_sample", language="ron", key=f"k{text}.", shard=f"s{text}.", reason=f"r{text}.")
        monitor.event("checkpoint_damaged", path=f"p{text}.", reason="x")
        monitor.event("quarantined", language="ron", step=1, reason=f"q{text}.")
        monitor.close(monitor.summary())
    for letter in ("shards ", "k", "s", "r", "p", "q"):
        assert f"{letter}{text}." in told.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_an_announcement_keeps_a_code_that_looks_like_markup(text: str) -> None:
    console, told = terminal()
    line = EventLines().line({"kind": "quarantined", "language": f"l{text}.", "reason": f"r{text}."}, None)
    console.print(line)
    assert f"l{text}." in told.getvalue() and f"r{text}." in told.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_the_table_of_scores_keeps_its_title_and_codes(text: str) -> None:
    console, told = terminal()
    console.print(evaluation_table({f"l{text}.": score(["ab"], ["a"])}, title=f"t{text}. on test"))
    assert f"l{text}." in told.getvalue() and f"t{text}. on test" in told.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_a_report_and_its_plot_take_any_name_of_a_folder(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    run = tmp_path / text.replace("/", "_")
    log = EventLog(run / "events.jsonl")
    log.write("evaluated", language="ron", step=1, cer=0.5, wer=1.0, utterances=3, best=True)
    log.close()
    flags = ["--plot", str(tmp_path / "p.svg")] if text.startswith("$") else []
    assert cli.main(["report", str(run), *flags]) == 0
    assert cli.main(["status", str(run)]) == 0
    assert capsys.readouterr().out.count(run.name) >= 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".staging")]


@pytest.mark.parametrize("text", TEXTS)
def test_the_shard_commands_show_names_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", told := io.StringIO())
    console = make_console()
    say(console, f"a{text}.")
    print_drops(console, {f"l{text}.": {"silent": {"count": 1, "examples": [f"e{text}."]}}})
    for letter in "ale":
        assert f"{letter}{text}." in told.getvalue()


def test_transcripts_are_no_markdown() -> None:
    text = "*a* _b_ `c` <i>d</i> [e](f) # g | h \\ & :zero:"
    (row,) = markdown_table([(text, text)]).splitlines()[2:]
    literal = "\\*a\\* \\_b\\_ \\`c\\` &lt;i>d&lt;/i> \\[e\\]\\(f\\) \\# g \\| h \\\\ &amp; :zero:"
    assert row == f"| {literal} | {literal} |"
    (row,) = markdown_table([("*a*", "")]).splitlines()[2:]
    assert row == "| **\\*a\\*** | (nothing) |"


def test_a_console_of_rich_itself_would_not() -> None:
    told = io.StringIO()
    Console(file=told).print(":zero:", markup=False)
    assert ":zero:" not in told.getvalue()
