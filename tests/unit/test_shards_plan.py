"""Names and splits of utterances never change: with another hash, sentences would move from test into train."""

from pathlib import Path

import pytest

from shards.plan import assign_splits, plan_languages, utterance_key
from shards.sources import SourceRow

NUMBERS = [
    "unu",
    "doi",
    "trei",
    "patru",
    "cinci",
    "șase",
    "șapte",
    "opt",
    "nouă",
    "zece",
    "unsprezece",
    "doisprezece",
    "treisprezece",
    "paisprezece",
]


def row(name: str = "a/Clip 1.wav", *, text: str = "x", language: str = "ron", **fields: object) -> SourceRow:
    return SourceRow(Path(name), name, text, language, "somewhere", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (row(), "clip_1-2cf1138eef4157aa"),
        (row(start_seconds=0.5, end_seconds=1.0), "clip_1-2c571fcb9f652e47"),
        (row(language="ita"), "clip_1-8c877ead31bee1ea"),
        (row("b/Clip 1.wav"), "clip_1-39e73cd96d98399f"),
        (row("știință.flac"), "stiinta-9e5ec4fab6299a51"),
        (row("音.wav"), "utterance-4962ec460b689073"),
    ],
)
def test_the_key_of_a_recording_is_fixed_for_ever(source: SourceRow, key: str) -> None:
    assert utterance_key(source) == key


@pytest.mark.parametrize(
    ("dev", "test", "held_out"),
    [
        (0.2, 0.1, {"dev": ["unsprezece"], "test": ["trei"]}),
        (0.3, 0.3, {"dev": ["trei", "cinci", "șapte", "opt", "nouă", "doisprezece"], "test": ["unsprezece"]}),
        (0.0, 0.5, {"dev": [], "test": ["trei", "cinci", "opt", "nouă", "unsprezece", "doisprezece"]}),
    ],
)
def test_the_split_of_a_sentence_is_fixed_for_ever(dev: float, test: float, held_out: dict[str, list[str]]) -> None:
    splits = assign_splits([(text, None) for text in NUMBERS], dev, test)
    assert {name: [text for text in NUMBERS if splits[text] == name] for name in ("dev", "test")} == held_out


def test_the_split_does_not_depend_on_the_order_or_the_number_of_recordings() -> None:
    once = assign_splits([(text, None) for text in NUMBERS], 0.2, 0.2)
    assert assign_splits([(text, None) for text in [*NUMBERS[::-1], *NUMBERS]], 0.2, 0.2) == once


def test_recordings_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    rows = []
    for number, folder in enumerate(("monday", "tuesday")):
        for name in ("0.wav", "1.wav"):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")  # planning does not decode
            rows.append(SourceRow(path, f"{folder}/{name}", f"{'ab'[number]} {NUMBERS[int(name[0])]}", "ron", folder))
    (plan,) = plan_languages(rows, dev_fraction=0.0, test_fraction=0.0)
    assert plan.total == 4 and plan.drops.as_dict() == {}
    assert len({candidate.key for candidate in plan.candidates["train"]}) == 4
