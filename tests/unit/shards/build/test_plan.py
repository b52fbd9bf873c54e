"""Names and splits of utterances never change: with another hash, sentences would move from test into train."""

from pathlib import Path

import pytest

from shards.build.candidates import LanguagePlan, utterance_key
from shards.build.plan import plan_languages
from shards.sources.audio_reference import AudioFile
from shards.sources.rows import SourceRow
from shards.sources.source_rows import SourceRows
from shards.splits import assign_splits

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
    return SourceRow(audio=AudioFile(Path(name)), name=name, text=text, language=language, where="somewhere", **fields)  # type: ignore[arg-type]


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


def test_the_split_depends_on_neither_order_nor_number_of_recordings() -> None:
    once = assign_splits([(text, None) for text in NUMBERS], 0.2, 0.2)
    assert assign_splits([(text, None) for text in [*NUMBERS[::-1], *NUMBERS]], 0.2, 0.2) == once


@pytest.mark.parametrize(
    ("given", "split"),
    [
        (["train", "test"], "test"),
        (["train", "dev"], "dev"),
        (["dev", "test", "train"], "test"),
        ([None, "dev"], "dev"),
        (["train", None], "train"),
    ],
)
def test_a_sentence_that_a_source_holds_out_is_never_trained_on(given: list[str | None], split: str) -> None:
    for order in (given, given[::-1]):
        assert assign_splits([("unu", each) for each in order], 0.5, 0.5) == {"unu": split}


@pytest.mark.parametrize(
    ("texts", "dev", "test", "expected"),
    [
        (1, 0.5, 0.5, ["train"]),
        (2, 0.0001, 0.0001, ["test", "train"]),
        (3, 0.0001, 0.0001, ["dev", "train", "test"]),
        (3, 0.5, 0.5, ["dev", "train", "test"]),
        (3, 0.0, 1.0, ["test", "train", "test"]),
    ],
)
def test_of_few_sentences_one_is_trained_on_before_any_is_held_out(
    texts: int, dev: float, test: float, expected: list[str]
) -> None:
    splits = assign_splits([(text, None) for text in NUMBERS[:texts]], dev, test)
    assert [splits[text] for text in NUMBERS[:texts]] == expected


def planned(tmp_path: Path, *rows: tuple[str, str, str | None, float | None]) -> LanguagePlan:
    """The plan of rows of a name, a text, a split and a start; planning does not decode."""
    (tmp_path / "clip").write_bytes(b"x")
    found = []
    for name, text, split, start in rows:
        (tmp_path / name).write_bytes(b"x")
        end = None if start is None else start + 1.0
        times = {"start_seconds": start, "end_seconds": end}
        found.append(
            SourceRow(
                audio=AudioFile(tmp_path / name),
                name=name,
                text=text,
                language="ron",
                where="somewhere",
                split=split,
                **times,
            )
        )  # type: ignore[arg-type]
    (plan,) = plan_languages(SourceRows("manifest", found), dev_fraction=0.0, test_fraction=0.0)
    return plan


def test_a_recording_that_is_given_twice_is_held_out_if_it_is_once(tmp_path: Path) -> None:
    rows = ("1.wav", "unu", "train", None), ("1.wav", "unu", "test", None), ("2.wav", "doi", "train", None)
    for number, order in enumerate((rows, rows[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        plan = planned(folder, *order)
        assert {split: [each.text for each in found] for split, found in plan.candidates.items() if found} == {
            "train": ["doi"],
            "test": ["unu"],
        }
        assert plan.drops["duplicate"] == 1


def test_a_clip_of_a_sentence_that_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, ("1.wav", "unu", "train", None), ("2.wav", "Unu!", "dev", None), ("3.wav", "a", None, None)
    )
    assert {split: [each.name for each in found] for split, found in plan.candidates.items() if found} == {
        "train": ["3.wav"],
        "dev": ["2.wav"],
    }
    assert plan.drops["text_in_other_split"] == 1


def test_the_order_of_recordings_is_fixed_and_segments_follow_each_other(tmp_path: Path) -> None:
    """With another one, the shards would be other ones, and every build and run would begin anew."""
    rows: list[tuple[str, str, str | None, float | None]] = [
        (f"{name}.wav", f"{text} {NUMBERS[int(start)]}", None, start)
        for name, text in zip("abcd", NUMBERS, strict=False)
        for start in (10.0, 9.0, 0.0)
    ]
    found = planned(tmp_path, *rows).candidates["train"]
    assert [(each.name[0], each.start_seconds) for each in found] == [
        (name, start) for name in "cbad" for start in (0.0, 9.0, 10.0)
    ]


def test_recordings_of_one_name_in_two_folders_are_both_kept(tmp_path: Path) -> None:
    rows = []
    for number, folder in enumerate(("monday", "tuesday")):
        for name in ("0.wav", "1.wav"):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")  # planning does not decode
            rows.append(
                SourceRow(
                    audio=AudioFile(path),
                    name=f"{folder}/{name}",
                    text=f"{'ab'[number]} {NUMBERS[int(name[0])]}",
                    language="ron",
                    where=folder,
                )
            )
    (plan,) = plan_languages(SourceRows("manifest", rows), dev_fraction=0.0, test_fraction=0.0)
    assert plan.total == 4 and plan.drops.as_dict() == {}
    assert len({candidate.key for candidate in plan.candidates["train"]}) == 4
