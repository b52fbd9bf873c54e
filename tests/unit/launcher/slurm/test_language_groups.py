"""The languages of a source, dealt to the tasks of a job array."""

import json
from pathlib import Path

import pytest

from launcher import cli
from launcher.slurm import language_groups
from launcher.slurm.environment import array_task
from launcher.slurm.language_groups import group
from mms_dist.errors import ConfigError
from tests.corpus import build_toy_shards, toy_languages
from tests.shard_samples import write_corpus

AMOUNTS = {"ron": 100, "ita": 60, "spa": 50, "fra": 30, "deu": 20}


@pytest.mark.parametrize("count", range(1, 8))
def test_every_language_is_in_one_group(count: int) -> None:
    dealt = [language for number in range(count) for language in group(AMOUNTS, number, count)]
    assert sorted(dealt) == sorted(AMOUNTS)


def test_groups_are_about_as_large_as_each_other() -> None:
    totals = [sum(AMOUNTS[code] for code in group(AMOUNTS, number, 2)) for number in range(2)]
    assert totals == [130, 130]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"ID": "3", "COUNT": "4", "MIN": "0", "MAX": "3"}, (3, 4)),
        ({"ID": "3", "COUNT": "3", "MIN": "1", "MAX": "3"}, (2, 3)),
    ],
)
def test_a_task_knows_its_group(environment: dict[str, str], expected: tuple[int, int]) -> None:
    assert array_task({f"SLURM_ARRAY_TASK_{name}": value for name, value in environment.items()}) == expected


def test_an_array_with_gaps_would_leave_languages_out() -> None:
    with pytest.raises(ConfigError, match="--array=0-1"):
        array_task(
            {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "2"}
            | {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "3"}
        )


def test_the_options_of_the_build_may_stand_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_toy_shards(tmp_path, languages=3, train=2, dev=1)
    for name, value in {"ID": "1", "COUNT": "2", "MIN": "0", "MAX": "1"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    options = ["--test-fraction", "0", "--lang", f"{toy_languages(1)[0]},{toy_languages(2)[1]}", "--force"]
    assert language_groups.main([str(tmp_path / "manifest.tsv"), "out/", *options]) == 0
    assert capsys.readouterr().out.split() == [toy_languages(1)[0]]
    assert language_groups.main([str(tmp_path / "nowhere.tsv"), "out/"]) == 2
    assert "nowhere.tsv" in capsys.readouterr().err


@pytest.mark.parametrize("named", [[], ["--lang", "ita,hun", "--lang=ron"], ["--languages", "ron", "ita", "hun"]])
def test_the_tasks_of_an_array_build_every_language_once(
    named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobodys = [{"audio": "ron/clip000.wav", "text": "of no language"}]
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita", "hun"), utterances=6, extra=nobodys)
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "0")
    built = []
    for number in range(3):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(number))
        output = tmp_path / f"out{number}"
        arguments = [str(manifest), str(output), *named, "--skip-bad-rows", "--workers", "1"]
        capsys.readouterr()
        assert language_groups.main(arguments) == 0
        group_of_task = capsys.readouterr().out.split()
        assert cli.main(["shards", "build", *arguments, "--only", *group_of_task]) == 0  # as slurm/shards.sbatch does
        indexes = {path.parent.name: json.loads(path.read_text()) for path in output.glob("*/index.json")}
        assert sorted(indexes) == group_of_task
        for index in indexes.values():  # and the line without a language is nobody's, however few a task builds
            assert sum(split["samples"] for split in index["splits"].values()) == 6
        built += indexes
    assert sorted(built) == ["hun", "ita", "ron"]
