"""The `mms-dist` command: starts fast, names what to fix, and ends with the status scripts rely on."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launcher.commands
from launcher import cli
from launcher.arguments import Languages

COMMAND = """
def add_parser(subparsers):
    parser = subparsers.add_parser({name!r}, help="does {name}")
    parser.add_argument("--count", type=int, default=1)

def run(args):
    {body}
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a command to `mms-dist` for one test."""
    monkeypatch.setattr(launcher.commands, "__path__", [*launcher.commands.__path__, str(tmp_path)])

    def add(name: str, body: str, head: str = "") -> None:
        (tmp_path / f"{name}.py").write_text(head + COMMAND.format(name=name, body=body))
        monkeypatch.delitem(sys.modules, f"launcher.commands.{name}", raising=False)

    return add


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    return _python("-m", "launcher", *argv)


def _run_with(folder: Path, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`mms-dist` in a process of its own, with the commands in `folder`."""
    program = (
        "import sys, launcher.commands; from launcher.cli import main; "
        f"launcher.commands.__path__.append({str(folder)!r}); sys.exit(main({argv!r}))"
    )
    return _python("-c", program, **options)


def _python(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": Path(__file__).parents[3]} | options
    return subprocess.run([sys.executable, *argv], text=True, **options)


def test_help_lists_every_command_with_one_line(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", "return 0")
    assert cli.main(["--help"]) == 0
    help_text = capsys.readouterr().out
    assert "quick start:" in help_text
    listed = [line.split()[0] for line in help_text.splitlines() if line.startswith("    ") and line[4] != " "]
    assert listed == cli.command_names()
    assert listed[-1] == "zebra"  # what ORDER does not name comes last
    assert "does zebra" in help_text


def test_help_imports_nothing_that_takes_time() -> None:
    program = "import sys; from launcher.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    result = _python("-c", program)
    assert "launcher.cli" in result.stderr
    heavy = {"torch", "transformers", "deepspeed", "accelerate", "datasets", "pandas"}
    heavy |= {"numpy", "tensorboard", "pydantic"}
    assert not heavy & set(result.stderr.split())


def test_version_is_printed() -> None:
    result = _run("--version")
    assert (result.returncode, result.stdout.split()[0]) == (0, "mms-dist")


def test_no_command_prints_the_help_and_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_a_misspelled_command_names_the_nearest_one(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", "return 0")
    assert cli.main(["zbra"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no command 'zbra'; did you mean 'zebra'?")


@pytest.mark.parametrize("flags", [["--count", "many"], ["--cuont", "3"]])
def test_a_wrong_flag_is_an_error_of_the_user(
    flags: list[str], command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", "return 0")
    assert cli.main(["zebra", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "mms-dist zebra --help" in error


def test_settings_reach_only_a_command_that_takes_them(command: Callable[..., None]) -> None:
    command("taker", "return 0 if args.settings == ['--optim.lr', '5e-4'] else 1", "ACCEPTS_SETTINGS = True\n")
    command("refuser", "return 0")
    assert cli.main(["taker", "--optim.lr", "5e-4"]) == 0
    assert cli.main(["refuser", "--optim.lr", "5e-4"]) == 2


@pytest.mark.parametrize("error", ["mms_dist.errors.ConfigError", "shards.errors.ShardsError"])
def test_an_error_the_user_can_mend_is_one_line_and_status_two(
    error: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    module, name = error.rsplit(".", 1)
    command("zebra", f"from {module} import {name}; raise {name}('found 1, expected 2; pass --two')")
    assert cli.main(["zebra"]) == 2
    assert capsys.readouterr().err == "error: found 1, expected 2; pass --two\n"


def test_a_bug_of_ours_keeps_its_traceback_and_says_how_to_report_it(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", "raise KeyError('oops')")
    assert cli.main(["zebra"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "oops" in error
    assert "please open an issue" in error


def test_an_interrupt_is_one_plain_line_and_status_130(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", "raise KeyboardInterrupt")
    assert cli.main(["zebra"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(COMMAND.format(name="chatty", body="print('x' * 100_000); return 0"))
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = _run_with(tmp_path, "chatty", stdout=write_end)
    os.close(write_end)
    assert (result.returncode, result.stderr) == (141, "")


def test_a_terminal_without_unicode_gets_a_question_mark_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "polyglot.py").write_text(COMMAND.format(name="polyglot", body="print('где →'); return 0"))
    result = _run_with(tmp_path, "polyglot", env=os.environ | {"PYTHONIOENCODING": "latin-1"})
    assert (result.returncode, result.stdout) == (0, "??? ?\n")


def test_the_module_of_the_command_can_be_run_itself() -> None:
    assert _python("-m", "launcher.cli", "--version").stdout.startswith("mms-dist ")


def test_a_dry_run_checks_before_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(Path(cli.__file__).parent / "demo.yaml")
    assert cli.main(["train", "--config", config, "--dry-run", "--data.shards", "/nowhere"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "/nowhere" in err


@pytest.mark.parametrize("steps", ["0", "-1", "few"])
def test_the_demo_takes_one_step_at_least(steps: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--steps", steps]) == 2
    assert "expected a whole number of 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["debug --config c.yaml", "eval run", "export run"])
def test_language_codes_stand_apart_by_spaces_or_commas(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command.split(), "--languages", ","]) == 2
    assert "found no language code" in capsys.readouterr().err


def test_a_flag_that_is_given_twice_is_an_error_unless_it_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", "a.yaml", "--config", "b.yaml"]) == 2
    assert "--config is given twice, with a.yaml and b.yaml; keep one of them" in capsys.readouterr().err
    assert cli.main(["plan", "--config", "/nowhere", "--config=/nowhere", "--hours", "a", "--hours", "b"]) == 2
    assert "--hours is given twice, with a and b" in capsys.readouterr().err
    assert cli.main(["submit", "c.yaml", "--sbatch", "qos=a", "--sbatch", "qos=b", "--dry-run"]) == 2


def test_languages_behind_a_flag_that_is_repeated_are_taken_together() -> None:
    parser = cli.Parser()
    parser.add_argument("--languages", nargs="+", action=Languages)
    flags = ["--languages", "ron,ita", "--languages", "ita", "eng"]
    assert parser.parse_args(flags).languages == ["ron", "ita", "eng"]


def test_several_languages_of_a_setting_are_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(Path(cli.__file__).parent / "demo.yaml")
    assert cli.main(["train", "--config", config, "--data.languages", "ron", "ita"]) == 2
    assert "--data.languages ron,ita" in capsys.readouterr().err


def test_the_home_folder_is_found_behind_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in (["plan", "--config=~/c.yaml"], ["report", "~/c.yaml"], ["train", "--config", "~/c.yaml"]):
        assert cli.main(command) == 2
        assert f"{tmp_path}/c.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number", ["1_0", "٣", "nan", "inf", "-1", "0", "1e400", "1e300", "", "0x10", "true", "9999999999"]
)
def test_numbers_behind_flags_are_finite_and_in_digits(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--nodes", "--speed"):
        assert cli.main(["plan", "--config", "c.yaml", f"{flag}={number}"]) == 2
        assert f"argument {flag}: found {number!r}, expected a" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "name"), [(errno.EACCES, "x/y"), (errno.ENOSPC, "x/y"), (errno.ENOSPC, None)])
def test_what_the_system_refuses_is_one_line(
    number: int, name: str | None, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command("zebra", f"raise OSError({number}, 'what it says', {name!r})")
    assert cli.main(["zebra"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {name or 'cannot write'}: what it says; ") and "Traceback" not in told
