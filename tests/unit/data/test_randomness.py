"""Randomness is keyed by what it is about, and the keys never change: a resumed run draws what it would have drawn."""

import numpy as np
import pytest

from mms_dist.data.randomness import epoch_generator, random_key, selection_key, unit_interval
from mms_dist.data.utterance_id import UtteranceId


def where(language: str = "ron", split: str = "train", row: int = 0) -> UtteranceId:
    return UtteranceId(language, split, row)


@pytest.mark.parametrize(
    ("seed", "utterance", "epoch", "key"),
    [
        (0, where(), 0, 2179726783200716702),
        (0, where(), 1, 6378880689512387721),
        (0, where(row=1), 0, 6588425155647413099),
        (0, where(split="dev"), 0, 5317515275405205799),
        (0, where(language="ita"), 0, 5598924236902847314),
        (1, where(), 0, 3032674579383389671),
        (7, where("srp-script_latin", "train", 123456), 3, 5425834031486542532),
        (2**63, where("x", "test", 1), 1, 3654844468913438307),
    ],
)
def test_the_key_of_an_utterance_in_an_epoch_is_fixed_for_ever(
    seed: int, utterance: UtteranceId, epoch: int, key: int
) -> None:
    assert random_key(seed, utterance, epoch) == key


def test_no_two_of_seed_language_split_row_and_epoch_share_a_key() -> None:
    keys = [
        random_key(seed, where(language, split, row), epoch)
        for seed in range(4)
        for language in ("ron", "ro", "n")
        for split in ("train", "dev", "test")
        for row in (0, 1, 2, 3, 10, 11, 111)
        for epoch in (0, 1, 2, 3, 10, 11, 111)
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**63 for key in keys)


@pytest.mark.parametrize(
    ("utterance", "key"),
    [
        (where(), 906584068978911163),
        (where(row=1), 14395920050670318394),
        (where(split="dev"), 13289644190667207193),
        (where(language="ita"), 8052582603784027170),
    ],
)
def test_which_utterances_are_evaluated_is_fixed_for_ever(utterance: UtteranceId, key: int) -> None:
    assert selection_key(utterance) == key


@pytest.mark.parametrize(
    ("seed", "language", "epoch", "words"),
    [
        (0, "ron", 0, [12888023435609195545, 10877848071202074121, 704962825239423240]),
        (0, "ron", 1, [18028536209760474695, 8287363906064337522, 75501741698297206]),
        (1, "ron", 0, [11497069267833282055, 11581669411016001510, 6134656762265384842]),
        (7, "srp-script_latin", 3, [778561106070041994, 16543910557422547016, 13745337523298341571]),
    ],
)
def test_the_words_that_order_an_epoch_are_fixed_for_ever(
    seed: int, language: str, epoch: int, words: list[int]
) -> None:
    assert epoch_generator(seed, language, epoch).random_raw(3).tolist() == words


def test_words_become_even_numbers_from_zero_to_below_one() -> None:
    words = np.array([0, 1 << 11, 1 << 63, 2**64 - 1], dtype=np.uint64)
    assert unit_interval(words).tolist() == [0.0, 2.0**-53, 0.5, 1 - 2.0**-53]
