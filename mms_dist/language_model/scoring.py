"""How likely texts are in a language model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mms_dist.errors import DataError
from mms_dist.language_model.interface import LanguageModel
from mms_dist.language_model.units import END, UNKNOWN, split


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How well a model predicts sentences; `</s>` counts as a token, `<s>` does not.

    `unknown` counts tokens that are not words of the model, and `known_perplexity` leaves them out.
    """

    perplexity: float
    known_perplexity: float
    sentences: int
    tokens: int
    unknown: int


def encode(model: LanguageModel, text: str) -> list[int]:
    """Return the ids of a text's words or characters; `<unk>`'s for those that the model lacks."""
    ids = model.ids
    return [ids.get(token, UNKNOWN) for token in split(text, model.unit)]


def log_probs(model: LanguageModel, texts: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return the natural logarithms of the probabilities of each sentence's tokens, `</s>` included."""
    tokens = [[*encode(model, text), END] for text in texts]
    longest_first = sorted(range(len(texts)), key=lambda number: -len(tokens[number]))
    length_N = np.array([len(tokens[number]) for number in longest_first], np.int64)
    token_NT = np.zeros((len(texts), length_N.max(initial=0)), np.int64)
    for row, number in enumerate(longest_first):
        token_NT[row, : length_N[row]] = tokens[number]
    found_NT = np.zeros(token_NT.shape)
    state_N = np.full(len(texts), model.start, np.int32)
    for place in range(token_NT.shape[1]):
        rows = int((length_N > place).sum())
        found_NT[:rows, place], state_N[:rows] = model.advance(state_N[:rows], token_NT[:rows, place])
    result: list[NDArray[np.float64]] = [np.zeros(0)] * len(texts)
    for row, number in enumerate(longest_first):
        result[number] = found_NT[row, : length_N[row]]
    return result


def perplexity(model: LanguageModel, texts: Sequence[str]) -> Perplexity:
    """Measure the perplexity of sentences; empty ones are ignored.

    Raises:
        DataError: there is none.
    """
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise DataError("found no sentence to measure the perplexity of", fix="give text that is not empty")
    log_prob_M = np.concatenate(log_probs(model, texts))
    known_M = np.concatenate([np.array([*encode(model, text), END]) != UNKNOWN for text in texts])
    return Perplexity(
        perplexity=float(np.exp(-log_prob_M.mean())),
        known_perplexity=float(np.exp(-log_prob_M[known_M].mean())),
        sentences=len(texts),
        tokens=len(log_prob_M),
        unknown=int((~known_M).sum()),
    )
