"""Decoders that are slow and plainly right, to compare the beam search with."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable

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
    beam: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}
    for row in log_prob_TV:
        blank = float(np.logaddexp.reduce(row[: UNKNOWN + 1]))
        grown: dict[str, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (ends_blank, ends_label) in beam.items():
            total = float(np.logaddexp(ends_blank, ends_label))
            grown[prefix][0] = float(np.logaddexp(grown[prefix][0], total + blank))
            for label in range(SPACE, len(vocabulary)):
                character = " " if label == SPACE else vocabulary.tokens[label]
                if character == " " and (not prefix or prefix[-1] == " "):
                    grown[prefix][1] = float(np.logaddexp(grown[prefix][1], total + row[label]))
                    continue
                if prefix.endswith(character):
                    grown[prefix][1] = float(np.logaddexp(grown[prefix][1], ends_label + row[label]))
                    longer = ends_blank + row[label]
                else:
                    longer = total + row[label]
                grown[prefix + character][1] = float(np.logaddexp(grown[prefix + character][1], longer))
        ranked = sorted(grown.items(), key=lambda item: -(float(np.logaddexp(*item[1])) + fused(item[0])))
        beam = {prefix: (ends[0], ends[1]) for prefix, ends in ranked[:width]}
    return [(prefix, float(np.logaddexp(*ends))) for prefix, ends in beam.items()]


def random_log_probs(frames: int, vocabulary: Vocabulary, seed: int, *, sharpness: float = 2.0) -> np.ndarray:
    """Return log-probabilities of random outputs, in which the blank is often likely."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(frames, len(vocabulary))) * sharpness
    logits[:, BLANK] += generator.choice([0.0, 3.0], size=frames)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
