"""Decoders that are slow and plainly right, to compare the beam search with."""

import gzip
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shards.vocabulary import BLANK, SPACE, UNKNOWN, Vocabulary

Score = Callable[[str], float]


def every_path(log_prob_TV: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
    """Return the log-probability of every text: the sum over all its paths, found by trying each one."""
    found: dict[str, list[float]] = defaultdict(list)
    frames, labels = log_prob_TV.shape
    for path in itertools.product(range(labels), repeat=frames):
        found[vocabulary.decode(path)].append(sum(log_prob_TV[t, label] for t, label in enumerate(path)))
    return {text: float(np.logaddexp.reduce(values)) for text, values in found.items()}


def prefix_search(log_prob_TV: np.ndarray, vocabulary: Vocabulary, width: int, fused: Score) -> list[tuple[str, float]]:
    """Prefix beam search as Hannun et al. 2014 write it, with a dictionary of prefixes.

    `fused(prefix)` is the weighted score of the language model for a prefix, from which its space is not stripped.

    Returns:
        Prefixes and log-probabilities, best first by their sum with `fused`.
    """
    characters = [" ", *vocabulary.tokens[SPACE + 1 :]]
    beam: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}
    for row in log_prob_TV:
        blank = float(np.logaddexp.reduce(row[: UNKNOWN + 1]))
        labels = list(zip(characters, row[SPACE:].tolist(), strict=True))
        grown: dict[str, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (ends_blank, ends_label) in beam.items():
            total = log_add(ends_blank, ends_label)
            grown[prefix][0] = log_add(grown[prefix][0], total + blank)
            for character, log_prob in labels:
                if character == " " and (not prefix or prefix[-1] == " "):
                    grown[prefix][1] = log_add(grown[prefix][1], total + log_prob)
                    continue
                if prefix.endswith(character):
                    grown[prefix][1] = log_add(grown[prefix][1], ends_label + log_prob)
                    longer = ends_blank + log_prob
                else:
                    longer = total + log_prob
                grown[prefix + character][1] = log_add(grown[prefix + character][1], longer)
        ranked = sorted(grown.items(), key=lambda item: -(log_add(*item[1]) + fused(item[0])))
        beam = {prefix: (ends[0], ends[1]) for prefix, ends in ranked[:width]}
    return [(prefix, log_add(*ends)) for prefix, ends in beam.items()]


def log_add(first: float, second: float) -> float:
    """Return log(exp(first) + exp(second))."""
    more, less = max(first, second), min(first, second)
    return more if less == -math.inf else more + math.log1p(math.exp(less - more))


def decode(log_prob_TV: np.ndarray, vocabulary: Vocabulary, width: int, model: "CharacterModel") -> tuple[str, float]:
    """Return the best text of a prefix search with a character model, and its score."""
    acoustic: dict[str, float] = {}
    for prefix, log_prob in prefix_search(log_prob_TV, vocabulary, width, model.of_prefix):
        text = prefix.strip()
        acoustic[text] = log_add(acoustic.get(text, -math.inf), log_prob)
    scores = {text: log_prob + model.of_text(text) for text, log_prob in acoustic.items()}
    best = max(scores, key=lambda text: scores[text])
    return best, scores[best]


class CharacterModel:
    """An ARPA file of characters read into a dictionary; scores are `alpha * log p + beta` for each character."""

    def __init__(self, path: Path, alpha: float, beta: float) -> None:
        self._alpha, self._beta, self._order = alpha, beta, 1
        self._found: dict[tuple[str, ...], tuple[float, float]] = {}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                fields = line.rstrip("\n").split("\t")
                if len(fields) > 1:
                    words = tuple(fields[1].split(" "))
                    self._order = max(self._order, len(words))
                    self._found[words] = float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0
        self._prefixes: dict[str, float] = {"": 0.0}

    def of_prefix(self, prefix: str) -> float:
        """Score what is written so far."""
        if prefix not in self._prefixes:
            own = self._alpha * self._log_prob(prefix[:-1], prefix[-1]) + self._beta
            self._prefixes[prefix] = self.of_prefix(prefix[:-1]) + own
        return self._prefixes[prefix]

    def of_text(self, text: str) -> float:
        """Score a whole text, with its end."""
        return self.of_prefix(text) + self._alpha * self._log_prob(text, "</s>")

    def _log_prob(self, before: str, character: str) -> float:
        word, *context = ("|" if each == " " else each for each in (character, *before[-self._order :]))
        history = (["<s>", *context] if len(before) < self._order else context)[-self._order + 1 :]
        backed_off = 0.0
        while (*history, word) not in self._found and history:
            backed_off += self._found.get(tuple(history), (0.0, 0.0))[1]
            history = history[1:]
        return (backed_off + self._found.get((*history, word), self._found["<unk>",])[0]) * math.log(10)


def random_log_probs(frames: int, vocabulary: Vocabulary, seed: int, *, sharpness: float = 2.0) -> np.ndarray:
    """Return log-probabilities of random outputs, in which the blank is often likely."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(frames, len(vocabulary))) * sharpness
    logits[:, BLANK] += generator.choice([0.0, 3.0], size=frames)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
