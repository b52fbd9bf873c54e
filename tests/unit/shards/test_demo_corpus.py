"""The demo corpus as it ships, and the rules by which it was made."""

import csv
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shards.demo import DEMO_MANIFEST
from shards.demo.prepare import (
    MANIFEST_COLUMNS,
    SAMPLE_RATE_HZ,
    SOURCES,
    Prompt,
    join,
    sentence_key,
    split_of,
    spoken_text,
)

FOLDER = DEMO_MANIFEST.parent
SMALLEST_GAP_SECONDS = 0.15
LARGEST_FOLDER_BYTES = 20_000_000


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with DEMO_MANIFEST.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        assert tuple(reader.fieldnames or ()) == MANIFEST_COLUMNS
        return list(reader)


@pytest.fixture(scope="module")
def audio(rows: list[dict[str, str]]) -> dict[str, NDArray[np.float32]]:
    decoded = {}
    for name in sorted({row["audio"] for row in rows}):
        samples_T, rate_hz = soundfile.read(FOLDER / name, dtype="float32")
        assert rate_hz == SAMPLE_RATE_HZ and samples_T.ndim == 1, name
        decoded[name] = samples_T
    return decoded


def bounds(row: dict[str, str]) -> tuple[float, float]:
    return float(row["start"]) * SAMPLE_RATE_HZ, float(row["end"]) * SAMPLE_RATE_HZ


def test_five_languages_have_enough_to_learn_from_and_to_be_measured_on(rows: list[dict[str, str]]) -> None:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        seconds[row["lang"], row["split"]] += float(row["end"]) - float(row["start"])
    for lang in ("eng", "spa", "fra", "ita", "rus"):
        assert seconds[lang, "train"] > 8 * 60, lang
        assert seconds[lang, "dev"] > 50 and seconds[lang, "test"] > 50, lang
    assert {split for _, split in seconds} == {"train", "dev", "test"}


def test_no_sentence_is_in_two_splits(rows: list[dict[str, str]]) -> None:
    """By an independent, coarser reading of a sentence: its letters alone."""
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        folded = unicodedata.normalize("NFKD", row["text"].casefold())
        splits[row["lang"], "".join(c for c in folded if c.isalnum())].add(row["split"])
    assert [key for key, found in splits.items() if len(found) > 1] == []


def test_the_split_follows_from_the_text_alone(rows: list[dict[str, str]]) -> None:
    assert all(split_of(row["lang"], row["text"]) == row["split"] for row in rows)
    assert split_of("fra", "Ça va?") == split_of("fra", "  ca VA ")


def test_every_segment_decodes_to_its_length_and_holds_speech(
    rows: list[dict[str, str]], audio: dict[str, NDArray[np.float32]]
) -> None:
    for row in rows:
        start, end = bounds(row)
        assert abs(start - round(start)) < 1e-6 and abs(end - round(end)) < 1e-6, row  # exact to the sample
        segment_T = audio[row["audio"]][round(start) : round(end)]
        assert len(segment_T) == round(end) - round(start), row
        assert 0.5 <= len(segment_T) / SAMPLE_RATE_HZ <= 8.0, row
        assert np.abs(segment_T).max() > 0.02, row


def test_silence_lies_between_segments_so_that_none_leaks_into_the_next(
    rows: list[dict[str, str]], audio: dict[str, NDArray[np.float32]]
) -> None:
    ends: dict[str, float] = defaultdict(float)
    for row in rows:
        start, end = bounds(row)
        gap_T = audio[row["audio"]][round(ends[row["audio"]]) : round(start)]
        assert len(gap_T) >= SMALLEST_GAP_SECONDS * SAMPLE_RATE_HZ, row
        middle_T = gap_T[len(gap_T) // 3 : -len(gap_T) // 3]
        assert np.abs(middle_T).max() < 0.01, row
        ends[row["audio"]] = end


def test_recordings_are_few_and_long_and_hold_one_split_each(
    rows: list[dict[str, str]], audio: dict[str, NDArray[np.float32]]
) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row["audio"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert all(60 <= len(samples_T) / SAMPLE_RATE_HZ <= 310 for samples_T in audio.values())
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("audio/*")} == set(audio)


def test_the_corpus_stays_small() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix in (".opus", ".tsv", ".md", ".txt"))
    assert size <= LARGEST_FOLDER_BYTES


def test_texts_hold_nothing_that_is_not_said_as_written(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert not set(row["text"]) & set("0123456789[]<>(){}#*\t"), row
        assert row["text"] == " ".join(unicodedata.normalize("NFC", row["text"]).split()), row


def test_attribution_names_every_language_speaker_and_licence() -> None:
    attribution = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    copyright_file = (FOLDER / "COPYRIGHT.txt").read_text(encoding="utf-8")
    for source in SOURCES.values():
        assert f"`{source.lang}`" in attribution
    for name in (
        "Allison Smith",
        "June Wallack",
        "Carlo Flora",
        "Maxim Topal",
        "Digium",
        "Silvia Petrin",
        "Clod Patry",
    ):
        assert name in attribution and name in copyright_file, name
    for licence in ("CC BY-SA 3.0", "CC BY 3.0"):
        assert licence in attribution


def test_figures_are_spelled_out_and_unspoken_texts_are_left_out() -> None:
    digits = SOURCES["it"].digits
    assert spoken_text(" premere 1 per\tuscire.", digits) == "premere uno per uscire."
    for unusable in (
        "[toni ascendenti]",
        "IAX",
        "composer 500",
        "press # now",
        "28.8 kilobit",
        "...",
        "h-323",
    ):
        assert spoken_text(unusable, digits) is None, unusable


def test_joined_prompts_are_found_again_at_their_bounds() -> None:
    generator = np.random.default_rng(0)
    members = [Prompt(str(n), "text", generator.random(1000 + n, np.float32)) for n in range(3)]
    joined_T, found = join(members)
    for prompt, (start, end) in zip(members, found, strict=True):
        assert np.array_equal(joined_T[start:end], prompt.samples_T)
        assert np.all(joined_T[end : end + int(SMALLEST_GAP_SECONDS * SAMPLE_RATE_HZ)] == 0)


def test_sentences_that_differ_in_accents_and_punctuation_are_the_same() -> None:
    assert sentence_key("¿Está aquí?") == sentence_key("esta aqui")
    assert sentence_key("one two") != sentence_key("two one")


def test_prepare_names_the_missing_package(tmp_path: Path) -> None:
    from shards.demo.prepare import prompts

    with pytest.raises(FileNotFoundError, match="dpkg -x asterisk-core-sounds-it"):
        next(prompts(tmp_path, "it"))
