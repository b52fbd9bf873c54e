"""A small file is on the disk, whole, before it has its name."""

import os
from pathlib import Path
from typing import Any

import pytest

from mms_dist import files
from mms_dist.errors import TrainingError
from mms_dist.files import replace_text
from mms_dist.run_directory.status_file import RunState, begin, mark_hung

TEXT = "Größe\n" * 1000


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What was asked of the disk: of a file that is synced the content at that moment, of a rename both names."""
    made: list[tuple[str, Any]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        made.append(("sync", Path(f"/proc/self/fd/{descriptor}").read_text(encoding="utf-8")))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        made.append(("rename", (Path(source).name, Path(target).name)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", renamed)
    return made


def test_a_file_is_synced_with_all_that_is_in_it_before_it_takes_the_name(
    tmp_path: Path, calls: list[tuple[str, Any]]
) -> None:
    path = tmp_path / "new" / "status.json"
    replace_text(path, TEXT)
    (sync, content), (rename, (staged, name)) = calls
    assert (sync, content, rename, name) == ("sync", TEXT, "rename", "status.json")
    assert staged.startswith(".staging-") and path.read_text(encoding="utf-8") == TEXT
    assert [each.name for each in path.parent.iterdir()] == ["status.json"]


def test_every_word_of_a_runs_status_is_written_so(tmp_path: Path, calls: list[tuple[str, Any]]) -> None:
    attempt = begin(tmp_path, processes=1, automatic=False, allowed=3)
    attempt.restored(round=4, steps=8)
    attempt.finish(RunState.FINISHED, exit_code=0)
    begin(tmp_path, processes=1, automatic=False, allowed=3)
    mark_hung(tmp_path, reason="rank 1 hangs")
    assert [kind for kind, _ in calls] == ["sync", "rename"] * 5
    assert all(target == "status.json" for kind, (_, target) in calls[1::2])


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "status.json"
    replace_text(path, "old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, broken, fail)
    with pytest.raises(TrainingError, match=r"status\.json: No space left on device; free space"):
        replace_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
