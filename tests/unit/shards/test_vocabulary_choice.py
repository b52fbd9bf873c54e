"""The vocabulary has the characters asked for; others are counted, and mapped or removed, not lost silently."""

import json

import pytest
import soundfile

from launcher.cli import main
from shards.errors import ShardsError, SourceError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.vocabulary import FIXED, UNKNOWN, Vocabulary
from shards.vocabulary_choice import ALL_CHARACTERS, GivenVocabulary, VocabularyOptions, choose_vocabulary
from tests.shard_samples import sound, tree_sums

COUNTS = {" ": 50, "a": 90, "b": 20, "é": 3, "ж": 1, "C": 2}


def chosen(**options):
    vocabulary, outside = choose_vocabulary("ron", COUNTS, VocabularyOptions(**options))
    return "".join(vocabulary.tokens[5:]), {character: entry["as"] for character, entry in outside.items()}


@pytest.mark.parametrize(
    ("options", "characters", "outside"),
    [
        ({}, "Cabéж", {}),
        ({"min_count": 3}, "abé", {"C": "", "ж": ""}),
        ({"min_count": 10}, "ab", {"C": "", "é": "", "ж": ""}),
        ({"max_characters": 2}, "ab", {"C": "", "é": "", "ж": ""}),
        ({"max_characters": 3, "min_count": 1}, "abé", {"C": "", "ж": ""}),
        ({"max_characters": 99}, "Cabéж", {}),
        ({"min_count": 10, "outside": "unknown"}, "ab", {"C": "<unk>", "é": "<unk>", "ж": "<unk>"}),
    ],
)
def test_rare_characters_are_outside_and_counted(options, characters, outside):
    assert chosen(**options) == (characters, outside)


def test_equally_frequent_characters_are_chosen_in_a_fixed_order():
    counts = dict.fromkeys("dcba", 1)
    for order in (counts, dict(reversed(counts.items()))):
        assert choose_vocabulary("ron", order, VocabularyOptions(max_characters=2))[0].tokens[5:] == ("a", "b")


@pytest.mark.parametrize(
    ("outside", "expected"),
    [("map", {"C": "c", "é": "e", "ж": ""}), ("remove", {"C": "", "é": "", "ж": ""})],
)
def test_letters_are_mapped_to_another_form_in_a_given_vocabulary(tmp_path, outside, expected):
    path = tmp_path / "vocab.json"
    Vocabulary("ron", (*FIXED, *"zabce'")).save(path)
    characters, found = chosen(given=GivenVocabulary(str(path)), outside=outside)
    assert characters == "zabce'", "its order is that of the head"
    assert found == expected


def test_mapped_and_removed_characters_are_encoded_as_such():
    vocabulary = Vocabulary("ron", (*FIXED, *"ae"), outside={"é": "e", "ж": "", "x": "<unk>"})
    assert vocabulary.encode("aéжa") == vocabulary.encode("aea")
    assert vocabulary.encode("a ж a") == vocabulary.encode("a a")
    assert vocabulary.encode("axq") == [5, UNKNOWN, UNKNOWN]
    assert vocabulary.encode("жж") == [UNKNOWN], "CTC needs a label"
    assert vocabulary == Vocabulary("ron", (*FIXED, *"ae")), "the tokens are the vocabulary"


@pytest.mark.parametrize(
    "content",
    [
        {"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "b": 5, "a": 6}, "ita": {"<pad>": 0}},
        {"b": 0, "a": 1, "|": 2, "[UNK]": 3, "[PAD]": 4},
        {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "b": 5, "a": 7},
    ],
)
def test_vocabularies_of_any_layout_are_read(tmp_path, content):
    (tmp_path / "vocab.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "vocab.json"):
        assert GivenVocabulary(str(path)).of("ron").tokens == (*FIXED, "b", "a")


def test_a_folder_of_shards_is_a_vocabulary(tmp_path):
    (tmp_path / "ron").mkdir()
    Vocabulary("ron", (*FIXED, "x")).save(tmp_path / "ron" / "vocab.json")
    assert GivenVocabulary(str(tmp_path)).of("ron").tokens[5:] == ("x",)
    with pytest.raises(ShardsError, match=r"no vocab.json there, and no ita/vocab.json"):
        GivenVocabulary(str(tmp_path)).of("ita")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ita": {"a": 0}}', "no vocabulary of ron, only of ita; a vocabulary is found by the training code"),
        ("{", "is not JSON"),
        ('{"ron": {"a": 0, "b": 0}}', "each given once"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_named(tmp_path, content, message):
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ShardsError, match=message):
        GivenVocabulary(str(tmp_path / "vocab.json")).of("ron")


def test_a_text_without_any_known_character_is_an_error(tmp_path):
    Vocabulary("ron", (*FIXED, *"xyz")).save(tmp_path / "vocab.json")
    with pytest.raises(SourceError, match="no character of the training text of ron is in its vocabulary"):
        chosen(given=GivenVocabulary(str(tmp_path / "vocab.json")))


def test_the_default_leaves_no_trace_in_the_fingerprint(tmp_path):
    assert ALL_CHARACTERS.fingerprint("ron") == {}
    Vocabulary("ron", (*FIXED, "x")).save(tmp_path / "vocab.json")
    given = VocabularyOptions(given=GivenVocabulary(str(tmp_path / "vocab.json")))
    first = given.fingerprint("ron")
    assert VocabularyOptions(min_count=2).fingerprint("ron") != {} != first


@pytest.fixture
def manifest(tmp_path):
    lines = ["audio\ttext\tlang\tsplit"]
    for number, text in enumerate(["ana are mere", "ana are café", "ж ana", "mere жéж"]):
        soundfile.write(tmp_path / f"{number}.wav", sound(1, seed=number), 16_000)
        lines.append(f"{number}.wav\t{text}\tron\t{'test' if number == 3 else 'train'}")
    path = tmp_path / "m.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments):
    return main(["shards", *map(str, arguments), "--workers", "1"])


def test_shards_have_the_given_vocabulary_and_labels_follow_it(manifest, tmp_path, capsys):
    given = tmp_path / "bases" / "vocab.json"
    given.parent.mkdir()
    tokens = dict(zip((*FIXED, *"remancf"), range(99), strict=False))
    given.write_text(json.dumps({"ron": tokens, "ita": tokens}))
    shards = tmp_path / "shards"
    assert run("build", manifest, shards, "--vocabulary", given.parent) == 0
    assert (
        "2 characters of the training text not in the vocabulary: é → e (1), ж removed (1)" in capsys.readouterr().out
    )
    assert run("verify", shards) == 0
    index = ShardIndex.load(str(shards)).language("ron")
    assert index.vocabulary.nested() == {"ron": tokens}
    assert index.content["outside_vocabulary"] == {"é": {"count": 1, "as": "e"}, "ж": {"count": 1, "as": ""}}
    assert index.vocabulary.encode("café ж ana") == [tokens[letter] for letter in "cafe|ana"]
    reader = ShardReader(ShardIndex.load(str(shards)))
    assert reader.read("ron", "test", 0).text == "mere жéж", "references are never changed"
    reader.close()
    before = tree_sums(shards)
    assert run("build", manifest, shards, "--vocabulary", given) == 0
    assert tree_sums(shards) == before
    assert run("build", manifest, shards, "--min-count", 2) == 0
    assert ShardIndex.load(str(shards)).language("ron").vocabulary.tokens[5:] == tuple("aenr")
    (shards / "ron" / "index.json").unlink()
    assert run("index", shards, "--max-characters", 2) == 0
    assert ShardIndex.load(str(shards)).language("ron").vocabulary.tokens[5:] == tuple("ae")
    assert run("verify", shards) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocabulary", "VOCAB", "--min-count", "2"], "leave one of them out"),
        (["--vocabulary", "VOCAB"], "no vocabulary of ron, only of ita"),
        (["--vocabulary", "nowhere"], "--vocabulary nowhere cannot be read"),
        (["--min-count", "0"], "expected a whole number of 1 or more"),
        (["--min-count", "999"], "no character of the training text of ron"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_told_before_the_build(manifest, tmp_path, capsys, options, message):
    given = tmp_path / "vocab.json"
    given.write_text('{"ita": {"a": 0}}')
    options = [str(given) if option == "VOCAB" else option for option in options]
    assert run("build", manifest, tmp_path / "shards", *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("shards/ron*"))
