"""Whatever becomes of a command's output, it ends quietly, with a status of its own, and without a traceback."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli
from mms_dist.distributed.comm import Comm
from mms_dist.monitor.console import standard_console
from mms_dist.monitor.events import EventLog
from mms_dist.run_directory.status_file import begin, read_status
from mms_dist.training.record import Record
from shards.display.terminal import NARROWEST, columns_of, make_console

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "run"
    log = EventLog(folder / "events.jsonl")
    log.write("run_started", round=0, languages=[f"a{letter}a" for letter in "abcdefgh"])
    log.write("evaluated", round=1, language="aaa", step=1, cer=0.5, wer=1.0, utterances=3, best=True)
    log.write("quarantined", round=1, language="aba", step=1, reason="нет → 你好")
    log.close()
    return folder


def shell(line: str, run: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = ["bash", "-c", line, "bash", sys.executable, "-m", "launcher"]
    env = {**os.environ, "RUN": str(run), **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ('"$@" report "$RUN" >&-', 0, b""),
        ('"$@" report "$RUN" --json >&- 2>&- <&-', 0, b""),
        ('"$@" report "$RUN"/none >&- 2>&-', 2, b""),
        ('"$@" report "$RUN" >/dev/full', 1, b"cannot write: No space left on device"),
        ('"$@" report "$RUN" --json >/dev/full', 1, b"cannot write: No space left on device"),
        ('sleep 9 | { exec <&-; "$@" report "$RUN"; } | true; exit ${PIPESTATUS[1]}', None, b""),
        ('"$@" nonsense 2>/dev/full', 2, b""),
    ],
)
def test_an_output_that_is_closed_full_or_left_is_no_traceback(
    run: Path, line: str, status: int | None, said: bytes
) -> None:
    done = shell(line.replace("sleep 9 | ", ": | "), run)
    assert done.returncode == status or (status is None and done.returncode in (0, 141))
    assert said in done.stderr and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_a_table_whose_reader_has_gone_ends_with_141(run: Path) -> None:
    program = (
        "import os, sys\nreader, writer = os.pipe()\nos.dup2(writer, 1)\nos.close(reader)\nos.close(writer)\n"
        "sys.stdout = os.fdopen(1, 'w')\nfrom launcher.cli import main\n"
        f"sys.exit(main(['report', {str(run)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_file_takes_the_number_of_a_closed_stream() -> None:
    program = (
        "import os, sys\nfrom launcher.console import prepare_streams\n"
        "os.close(1)\nsys.stdout = None\nprepare_streams()\n"
        "print('into the void')\nsys.exit(os.open('/dev/null', os.O_RDONLY) < 3)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("columns", ["0", "x", "-5", "", "00", "²", "9" * 30, "1.5", "1"])
def test_a_senseless_width_is_as_none(
    run: Path, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert cli.main(["report", str(run)]) == 0
    expected = without_ages(capsys.readouterr().out)
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, columns)
    for console in (standard_console(), make_console(), make_console(stderr=True)):
        assert console.width >= NARROWEST
    assert cli.main(["report", str(run)]) == 0
    told = capsys.readouterr().out
    assert without_ages(told) == expected if columns != "1" else max(map(len, told.splitlines()[:9])) <= NARROWEST


def without_ages(told: str) -> str:
    """A report but for how long ago something was, which goes on."""
    return re.sub(r"\d+ s\b", "0 s", told)


def test_columns_are_taken_where_they_can_be() -> None:
    assert [columns_of(text) for text in ("80", "7", "10000", "10001", "0", None)] == [
        80,
        NARROWEST,
        10_000,
        None,
        None,
        None,
    ]


def test_characters_that_cannot_be_encoded_are_question_marks(run: Path) -> None:
    done = shell('"$@" report "$RUN"', run, PYTHONIOENCODING="ascii", LC_ALL="C", TERM="dumb")
    assert (
        done.returncode == 0
        and b"aba quarantined since step 1: ??? ? ??" in done.stdout
        and b"Traceback" not in done.stderr
    )


@pytest.mark.parametrize("make", [standard_console, make_console])
def test_the_consoles_know_no_emoji_codes(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", told := io.StringIO())
    make().print(":zero: :smile:", markup=False)  # type: ignore[operator]
    assert told.getvalue() == ":zero: :smile:\n"


def test_a_reader_that_leaves_a_training_is_written_down_as_what_ended_it(tmp_path: Path) -> None:
    class Unread:
        def event(self, kind: str, **fields: object) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    record = Record(tmp_path, Comm())
    record.attempt = begin(tmp_path, processes=1, automatic=False, allowed=3)
    record.monitor = Unread()  # type: ignore[assignment]
    record._fail(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    status = read_status(tmp_path)
    assert status is not None and (status.state, status.restart) == ("failed", True)
    assert status.reason is not None and "the reader of its output has gone" in status.reason
