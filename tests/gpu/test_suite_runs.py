"""The suite itself, on a CPU: every part runs, and one that breaks stops no other."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gpu import recipe_start, targets
from tests.gpu.part import Part
from tests.gpu.record import Record, collect
from tests.gpu.runner import FINDINGS, Runner
from tests.gpu.schedule import ITEMS, Item, chosen
from tests.gpu.summary import RESULTS, TABLE, exit_status, failed_parts, table

ROOT = Path(__file__).parents[2]
KINDS = ("checks", "figures", "notes", "skipped")


def suite(*words: str, launcher: tuple[str, ...] = ("-m", "tests.gpu")) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, *launcher, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)


@pytest.mark.timeout(600)
def test_a_smoke_run_passes_every_part(tmp_path: Path) -> None:
    ended = suite("--out", str(tmp_path), "--smoke")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads((tmp_path / RESULTS).read_text())
    assert {name: part["status"] for name, part in results["parts"].items()} == {item.name: "passed" for item in ITEMS}
    assert all(any(part.get(kind) for kind in KINDS) for part in results["parts"].values())
    shown = (tmp_path / TABLE).read_text()
    assert "Its figures mean nothing" in shown and shown.startswith("# GPU suite: complete, every check passed\n")


@pytest.mark.timeout(600)
def test_a_smoke_run_of_several_ranks_passes(tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.gpu.many")
    ended = suite("--out", str(tmp_path), "--smoke", launcher=launcher)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    parts = json.loads((tmp_path / RESULTS).read_text())["parts"]
    assert {name: part["status"] for name, part in parts.items()} == {"rank 0": "passed", "rank 1": "passed"}


def crash(part: Part) -> None:
    part.record.holds("something before the crash", True)
    os.abort()


def hang(part: Part) -> None:
    time.sleep(600)


def fail(part: Part) -> None:
    part.record.check("too much", 2.0, at_most=1.0)
    part.record.check("not a number", float("nan"), at_most=1.0)


def raise_an_error(part: Part) -> None:
    raise RuntimeError("as after a CUDA error")


def pass_by(part: Part) -> None:
    part.record.check("little enough", 1.0, at_most=1.0)


def test_a_part_that_crashes_or_hangs_or_fails_stops_no_other(tmp_path: Path) -> None:
    names = ("crash", "hang", "fail", "raise_an_error", "pass_by")
    items = [Item(name, f"{__name__}:{name}", 0, 1 if name == "hang" else 30) for name in names]
    parts = Runner(tmp_path, budget=100, smoke=True).run(items)
    statuses = {name: part["status"] for name, part in parts.items()}
    expected = ("crashed", "timed out", "failed", "failed", "passed")
    assert statuses == dict(zip(names, expected, strict=True))
    assert parts["crash"]["checks"] == {"something before the crash": {"passed": True}}, "what it found is kept"
    assert failed_parts(parts) == ["crash", "hang", "fail", "raise_an_error"]
    shown = (tmp_path / TABLE).read_text()
    assert "fail: too much: 2.0 > 1" in shown and "as after a CUDA error" in shown
    assert shown.startswith("# GPU suite: failed: crash, hang, fail, raise_an_error\n") and exit_status(parts) == 1


def test_a_part_for_which_no_time_is_left_makes_the_run_incomplete(tmp_path: Path) -> None:
    parts = Runner(tmp_path, budget=5, smoke=False).run([Item("late", f"{__name__}:hang", 10, 60)])
    assert parts["late"]["status"] == "skipped" and "it needs 10" in parts["late"]["error"]
    assert not failed_parts(parts) and exit_status(parts) == 3
    shown = (tmp_path / TABLE).read_text()
    assert shown.startswith("# GPU suite: incomplete, 1 left out or not begun: late\n") and "1 skipped" in shown


def leave_out_a_piece(part: Part) -> None:
    part.record.holds("the rest", True)
    part.record.skip("a piece", "2 s left, expected 8")


def test_a_piece_that_is_left_out_and_a_part_not_begun_are_counted(tmp_path: Path) -> None:
    item = Item("whole", f"{__name__}:leave_out_a_piece", 0, 30)
    parts = Runner(tmp_path, budget=100, smoke=True).run([item])
    assert parts["whole"]["status"] == "passed" and exit_status(parts) == 3
    first = table(parts, smoke=False, expected=["whole", "next"]).splitlines()[0]
    assert first == "# GPU suite: incomplete, 2 left out or not begun: next, whole: a piece"


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch looks at it where it compiles
@pytest.mark.parametrize("words", [["300m", "--smoke"], ["1b", "--compiled", "--smoke"]])
def test_the_recipe_starts_and_trains(words: list[str]) -> None:
    recipe_start.main(words)


def test_a_run_cut_off_in_the_middle_of_a_line_loses_that_line_alone(tmp_path: Path) -> None:
    record = Record(tmp_path / FINDINGS, "speed")
    record.figure("a", 1.0)
    with open(tmp_path / FINDINGS, "a") as stream:
        stream.write('{"part": "speed", "kind": "fig')
    part = collect(tmp_path / FINDINGS)["speed"]
    assert part["figures"] == {"a": 1.0} and part["status"] == "unfinished"


def test_the_table_says_which_targets_are_met_missed_and_not_measured() -> None:
    met, missed = targets.TIMES_EAGER.format(shape="300m"), targets.WAITS
    figures = {met: 1.6, missed: 2.0, "something else": 12_345.0}
    part = {"status": "passed", "checks": {}, "figures": figures, "notes": {}}
    lines = table({"speed-300m": part}, smoke=False).splitlines()
    assert f"| {met} | 1.6 | ≥ 1.5 | met |" in lines
    assert f"| {missed} | 2 | ≤ 0 | missed |" in lines
    assert f"| {targets.EVALUATION} | – | ≤ 1.2 | not measured |" in lines
    assert "| something else | 12,345 | | |" in lines


def test_every_target_of_a_gpu_is_one_that_a_part_measures() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests" / "gpu" / "parts").glob("*.py"))
    names = [name for name in vars(targets) if isinstance(getattr(targets, name), str) and name.isupper()]
    assert [name for name in names if f"targets.{name}" not in sources] == []


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="found no part 'speeed', expected of environment, correctness"):
        chosen(["speeed"])


def test_without_a_gpu_the_suite_says_so_and_how_to_try_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--out", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert "--smoke" in ended.stderr and not list(tmp_path.iterdir())
