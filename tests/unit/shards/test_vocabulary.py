"""The vocabulary is what Hugging Face's MMS tokenizer makes of the same file."""

import pytest

from shards.errors import ShardsError
from shards.vocabulary import FIXED, Vocabulary

TEXTS = ["ana are mere", "și țara", "l'été"]


@pytest.fixture
def vocabulary():
    return Vocabulary.build("ron", TEXTS)


def test_the_five_fixed_tokens_come_first_whatever_the_texts(vocabulary):
    assert vocabulary.tokens[:5] == FIXED
    assert Vocabulary.build("ron", ["|<pad> x"]).tokens[:5] == FIXED
    assert len(set(vocabulary.tokens)) == len(vocabulary)


def test_the_order_of_texts_does_not_matter(vocabulary):
    assert Vocabulary.build("ron", reversed(TEXTS)) == vocabulary


def test_a_saved_vocabulary_loads_the_same(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "vocab.json")
    assert Vocabulary.load(tmp_path / "vocab.json") == vocabulary


def test_ids_and_texts_are_those_of_the_hugging_face_tokenizer(vocabulary, tmp_path):
    from transformers import Wav2Vec2CTCTokenizer

    vocabulary.save(tmp_path / "vocab.json")
    tokenizer = Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", target_lang="ron", word_delimiter_token="|")
    for text in [*TEXTS, "ana are țară", "are q mere"]:
        assert vocabulary.encode(text) == tokenizer(text).input_ids
    ids = [0, 5, 5, 0, 5, 4, 4, 6, 0, 0, 7, 7, 4, 0]
    assert vocabulary.decode(ids) == tokenizer.decode(ids)


def test_decode_keeps_doubled_letters_apart_by_the_blank(vocabulary):
    letter = vocabulary.encode("a")[0]
    assert vocabulary.decode([letter, letter, 0, letter]) == "aa"
    assert vocabulary.decode([]) == ""
    assert vocabulary.decode([4, 1, letter, 2, 4]) == "a"
    assert vocabulary.decode([letter, 3, letter, 3, 3]) == "aa", "what is not known is nothing"


def test_an_unknown_character_is_unk_and_does_not_shift_the_others(vocabulary):
    ids = vocabulary.encode("aqa")
    assert ids[1] == 3
    assert ids[0] == ids[2]


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ('{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 6}}', "not 0 … 5"),
        ('{"ron": {"a": 0, "<pad>": 1, "<s>": 2, "</s>": 3, "<unk>": 4, "|": 5}}', "begins with"),
        ('{"ron": {}, "ita": {}}', "must hold one language"),
        ("[1]", "must hold one language"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"{\xff", "is not UTF-8"),
        ('{"ron": {"a": "x", "b": 1}}', "not 0 … 1"),
        ('{"ron": {"a": null}}', "not 0 … 0"),
        ('{"ron": {"a": false}}', "not 0 … 0"),
        ("", "vocab.json is empty"),
        ("version https://git-lfs.github.com/spec/v1\nsize 900\n", "Git LFS pointer.*git lfs pull"),
        ('{"ron": [1]}', "no entry for ron"),
        ('{"ron": {"<pad>": "0"}}', "not 0 … 0"),
        ('{"ron": {"<pad>": null, "a": 1}}', "not 0 … 1"),
        ('{"ron": {"<pad>": true}}', "not 0 … 0"),
    ],
)
def test_a_vocabulary_that_would_not_fit_is_refused(nested, message, tmp_path):
    (tmp_path / "vocab.json").write_bytes(nested if isinstance(nested, bytes) else nested.encode())
    with pytest.raises(ShardsError, match=message):
        Vocabulary.load(tmp_path / "vocab.json")


def test_a_vocabulary_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_bytes(b'{"ron": "\xff"}')
    with pytest.raises(ShardsError, match=r"vocab.json is not UTF-8"):
        Vocabulary.load(tmp_path / "vocab.json")
