"""Raw transcripts are tagged with what an evaluation may want to look at alone."""

import json

import pytest
import soundfile

from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.text.scripts import is_mixed, mixed_words, script_of, scripts_in
from shards.text.text_tags import tags_of_text
from tests.shard_samples import plans_of, sound


@pytest.mark.parametrize(
    ("raw", "tags"),
    [
        ("bună ziua", {}),
        ("5 câini și 12 pisici", {"numbers": "5 12"}),
        ("capitolul Ⅳ", {"numbers": "numerals"}),
        ("слушай podcast", {"mixed_script": "Latin Cyrillic"}),
        ("привет 3 ok", {"numbers": "3", "mixed_script": "Cyrillic Latin"}),
        ("漢字とカタカナ", {}),
        ("한국 韓國", {}),
        ("日本語 ok", {"mixed_script": "Han Latin"}),
        ("ﬁn ａｂ ʼok ªº", {}),
        ("三十二", {}),
    ],
)
def test_numbers_and_mixed_scripts_become_tags(raw, tags):
    assert tags_of_text(raw) == tags


def test_the_script_of_a_letter_is_that_of_its_name():
    assert [script_of(letter) for letter in "aаαクअ漢ᐁ'́5"] == [
        *("Latin", "Cyrillic", "Greek", "Katakana", "Devanagari", "Han", "Canadian Aboriginal"),
        *("", "", ""),
    ]
    assert is_mixed(scripts_in("аb")) and not is_mixed(scripts_in("ab"))
    assert mixed_words("cаsă bună слово podcаst") == ["cаsă", "podcаst"]


def test_tags_of_the_text_join_those_of_the_source_in_the_sample(tmp_path):
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", sound(0.8, seed=number), 16_000)
    lines = [
        {"audio": "0.wav", "text": "5 Hunde", "lang": "deu", "split": "train", "accent": "Wien"},
        {"audio": "1.wav", "text": "Hunde und Katzen", "lang": "deu", "split": "train"},
        {"audio": "2.wav", "text": "Hunde и Katzen", "lang": "deu", "split": "train"},
    ]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    build_shards(plans_of(manifest), tmp_path / "shards", BuildOptions(), workers=1)
    reader = ShardReader(ShardIndex.load(str(tmp_path / "shards")))
    infos = [reader.read("deu", "train", row).info for row in range(3)]
    reader.close()
    assert {info["text"]: info.get("tags") for info in infos} == {
        "fünf hunde": {"accent": "Wien", "numbers": "5"},
        "hunde und katzen": None,
        "hunde и katzen": {"mixed_script": "Latin Cyrillic"},
    }
