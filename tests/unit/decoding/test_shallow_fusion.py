"""A model of another script or unit is refused; any other takes part by its unit."""

import pytest

from mms_dist.decoding.character_fusion import CharacterFusion
from mms_dist.decoding.shallow_fusion import fuse
from mms_dist.decoding.word_fusion import WordFusion
from mms_dist.errors import DataError
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.units import UNITS, Unit
from shards.vocabulary import FIXED, Vocabulary

LATIN = Vocabulary("ron", (*FIXED, *"abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_model_of_another_script_is_refused(unit: Unit) -> None:
    with pytest.raises(DataError) as caught:
        fuse(train(["это другой язык", "и другие буквы"], 2, unit), LATIN)
    assert "ron" in caught.value.found
    assert caught.value.fix and "script" in caught.value.fix


def test_the_unit_decides_how_a_model_takes_part() -> None:
    texts = ["the quick brown fox", "jumps over the lazy dog"]
    characters, words = (fuse(train(texts, 2, unit), LATIN, 0.3, 0.2) for unit in ("char", "word"))
    assert isinstance(characters, CharacterFusion) and isinstance(words, WordFusion)
    assert (characters.alpha, words.beta) == (0.3, 0.2)
    with pytest.raises(DataError, match="has words as its units"):
        CharacterFusion(train(texts, 2), LATIN)
    with pytest.raises(DataError, match="one of characters"):
        WordFusion(train(texts, 2, "char"), LATIN)
