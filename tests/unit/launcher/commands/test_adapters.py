"""`mms-dist adapters` changes the checkpoints of one language, and no file of another."""

import json
from pathlib import Path

import pytest

from launcher.cli import main
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.run_directory.lock import RunLock
from mms_dist.run_directory.paths import QUARANTINE_NAME
from tests.checkpoint_samples import assert_same, sample


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two languages of three steps each; the best of Romanian is the second."""
    with CheckpointStore(tmp_path / "run" / "adapters", keep=3) as store:
        for language in ("ita", "ron"):
            for step in (1, 2, 3):
                store.save(sample(language, step), best=step == 2 and language == "ron")
    return tmp_path / "run"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def adapters(*words: object) -> int:
    return main(["adapters", *map(str, words)])


def test_the_list_has_steps_pointers_and_quarantine(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "adapters" / "ita" / QUARANTINE_NAME).write_text("{}")
    before = files(run)
    assert adapters("list", run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ita": {"steps": [1, 2, 3], "last": 3, "best": None, "quarantined": True},
        "ron": {"steps": [1, 2, 3], "last": 3, "best": 2, "quarantined": False},
    }
    assert adapters("list", run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["language", "steps", "last", "best"]
    assert lines[1].split() == ["ita", "1,", "2,", "3", "3", "–", "in", "quarantine"]
    assert files(run) == before, "a list writes nothing"


def test_a_rollback_makes_a_step_the_newest_and_touches_no_other_language(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = files(run / "adapters" / "ita")
    assert adapters("rollback", run, "ron", 1) == 0
    assert capsys.readouterr().out == "ron: rolled back to step 1; deleted the later steps 2, 3\n"
    with CheckpointStore(run / "adapters", keep=3) as store:
        assert store.steps("ron") == [1] and store.pointed("ron", "best") is None
        assert_same(store.load("ron"), sample("ron", 1))
    assert files(run / "adapters" / "ita") == others


def test_a_copy_is_whole_and_a_language_that_is_there_already_stays(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert adapters("copy", run, "ron", other) == 0
    with CheckpointStore(other / "adapters", keep=3) as store:
        assert store.steps("ron") == [1, 2, 3] and store.pointed("ron", "best") == 2
        assert_same(store.load("ron"), sample("ron", 3))
    before = files(other)
    capsys.readouterr()
    assert adapters("copy", run, "ron", other) == 2
    assert "already exists; delete that language there before copying it" in capsys.readouterr().err
    assert files(other) == before


def test_a_delete_takes_one_language(run: Path) -> None:
    others = files(run / "adapters" / "ita")
    assert adapters("delete", run, "ron") == 0
    assert not (run / "adapters" / "ron").exists() and files(run / "adapters" / "ita") == others


@pytest.mark.parametrize(
    "words", [["rollback", "RUN", "ron", 1], ["delete", "RUN", "ron"], ["copy", "RUN", "ron", "OTHER"]]
)
def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[object]
) -> None:
    before = files(tmp_path)
    places = {"RUN": run, "OTHER": tmp_path / "other"}
    assert adapters(*(places.get(word, word) if isinstance(word, str) else word for word in words), "--dry-run") == 0
    assert capsys.readouterr().out.startswith("ron: would ")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["delete", "RUN", "xxx"], "found no checkpoint of 'xxx'"),
        (["rollback", "RUN", "ron", 7], "found no step 7 of ron"),
        (["list", "RUN/nothing"], "pass the folder of a run"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(
    run: Path, capsys: pytest.CaptureFixture[str], words: list[object], told: str
) -> None:
    before = files(run / "adapters")
    assert adapters(*(str(word).replace("RUN", str(run)) for word in words)) == 2
    assert told in capsys.readouterr().err
    assert files(run / "adapters") == before


def test_a_run_that_is_training_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLock(run):
        assert adapters("delete", run, "ron") == 2
        assert adapters("list", run) == 0
    assert "is in use by process" in capsys.readouterr().err
    assert (run / "adapters" / "ron").is_dir()
