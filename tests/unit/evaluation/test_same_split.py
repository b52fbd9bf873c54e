"""Runs are comparable on a split that both have in common, with the same transcripts."""

import json
from pathlib import Path

import pytest

from mms_dist.errors import DataError
from mms_dist.evaluation.same_split import check_same_split
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules
from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.text_rules import RuleOptions
from tests.shard_samples import plans_of, write_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten sentences with capitals, of which one is in test."""
    path = write_corpus(tmp_path_factory.mktemp("corpus"), utterances=10)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        line |= {"text": line["text"].title(), "split": ("test", "dev", *["train"] * 8)[number]}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def built(manifest: Path, folder: Path, **options: object) -> str:
    build_shards(plans_of(manifest, **options), folder, BuildOptions(), workers=1)
    return str(folder)


@pytest.fixture(scope="module")
def shards(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(manifest, tmp_path_factory.mktemp("shards"))


def checked(ours: str, theirs: str, rules: ScoringRules = AS_WRITTEN) -> str | None:
    return check_same_split("other", ours, theirs, ["ron"], "test", rules)


def test_the_same_shards_elsewhere_are_the_same(manifest: Path, shards: str, tmp_path: Path) -> None:
    assert checked(shards, shards) is None
    assert checked(shards, built(manifest, tmp_path / "again")) is None


def test_shards_that_are_gone_leave_it_unknown(shards: str, tmp_path: Path) -> None:
    note = checked(shards, str(tmp_path / "gone"))
    assert note is not None and "is not known" in note and "gone" in note


def test_another_split_is_refused_and_what_was_trained_on_is_counted(
    manifest: Path, shards: str, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line, split in zip(lines, ["train"] * 8 + ["dev", "test"], strict=True):
        line["split"] = split
    other = manifest.with_name("other.jsonl")
    other.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError) as caught:
        checked(shards, built(other, tmp_path / "other"))
    assert "0 of them the same, and other was trained on 1 of these here" in caught.value.found
    assert caught.value.fix and "leave ron out with --languages" in caught.value.fix


def test_other_transcripts_are_refused_unless_what_differs_is_ignored(
    manifest: Path, shards: str, tmp_path: Path
) -> None:
    cased = built(manifest, tmp_path / "cased", text_rules=RuleOptions(keep=("case",)))
    with pytest.raises(
        DataError, match=r"1 test transcripts of ron are not the same .* 'alpha alpha alpha' and 'Alpha"
    ):
        checked(shards, cased)
    assert checked(shards, cased, ScoringRules(case=False)) is None
