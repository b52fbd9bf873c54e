"""The event log survives a kill at any byte, and its readers with it."""

import json
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mms_dist.errors import TrainingError
from mms_dist.monitor.events import EventLog, as_float, read_events


def _log(path: Path, count: int = 3) -> None:
    log = EventLog(path)
    for step in range(count):
        log.write("checkpoint_saved", round=step, language="ron", step=step, path=Path("a"))
    log.close()


def test_a_line_says_when_what_and_whom(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run" / "events.jsonl")
    returned = log.write("evaluated", round=7, language="ron", step=3, cer=np.float32(0.5), best=True)
    (event,) = read_events(log.path)
    assert event == returned
    assert list(event) == ["time", "kind", "round", "language", "step", "cer", "best"]
    assert datetime.fromisoformat(event["time"]).utcoffset() == timedelta(0)
    assert (event["kind"], event["round"], event["language"], event["cer"]) == ("evaluated", 7, "ron", 0.5)


def test_numbers_that_json_lacks_stay_readable_by_every_json_reader(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.write("quarantined", language="ron", cer=float("nan"), losses=[1.0, float("-inf")])
    (event,) = read_events(log.path)
    assert as_float(event["cer"]) != as_float(event["cer"])
    assert event["losses"] == [1.0, "-inf"]
    json.loads(log.path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_log_cut_at_any_byte_keeps_every_whole_event_and_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    _log(path)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        expected = [json.loads(line) for line in whole[:cut].split(b"\n") if line.endswith(b"}")]
        assert list(read_events(path)) == expected
        _log(path, count=1)  # the next run
        assert list(read_events(path))[:-1] == expected
        assert len(list(read_events(path))) == len(expected) + 1
        assert path.read_bytes().endswith(b"\n")


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    _log(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{oops\n" + lines[1])
    with pytest.raises(TrainingError, match=r"line 2: found '\{oops'"):
        list(read_events(path))


def test_threads_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    threads = [
        threading.Thread(target=lambda: [log.write("checkpoint_damaged", path="x" * 5_000) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(read_events(log.path))) == 200


def test_a_full_disk_is_an_error_and_leaves_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    program = (
        "import resource, signal, sys; from mms_dist.monitor.events import EventLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"log = EventLog({str(path)!r}); resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))\n"
        "for _ in range(100): log.write('checkpoint_damaged', path='x' * 70)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert "TrainingError: cannot write" in result.stderr
    assert path.read_bytes().endswith(b"}\n")
    assert len(list(read_events(path))) > 3


def test_a_place_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file in the way")
    with pytest.raises(TrainingError, match="fix the permissions"):
        EventLog(tmp_path / "run" / "events.jsonl")
