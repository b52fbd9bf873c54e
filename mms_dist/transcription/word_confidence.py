"""Calibrate the confidences of words: the share of words with confidence 0.8 that are right should be 80 %.

The model's own probabilities are too high or too low, each model in its way. A logistic regression (Platt 1999,
"Probabilistic outputs for support vector machines") learns from dev utterances, whose words are known, how often a word
is right.

Legend: W words, M = 3 measures of a word.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.transcription.decode_segments import Outputs, decode_segments
from mms_dist.transcription.logistic_regression import LogisticRegression, fit
from mms_dist.transcription.searches import Searches
from mms_dist.transcription.transcript import Segment
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.wording import counted

UTTERANCES = 200
"""Dev utterances of a language that are learned from, at most."""
LEAST_WORDS = 50
BINS = 10
_CERTAIN = 1e-3
_AT_ONCE = 16


@dataclass(frozen=True)
class WordConfidence:
    """How sure a word of one language is, by what the model gave for it.

    Attributes:
        words: how many it was learned from.
        before, after: expected calibration errors on these, see `calibration_error`; `after` is that of two-fold cross-
            validation.
    """

    regression: LogisticRegression
    words: int
    before: float
    after: float

    def calibrated(self, segment: Segment) -> Segment:
        """Return the segment with calibrated confidences of its words."""
        sure_W = self.regression.probabilities(measures(segment))[:, 1].round(4).tolist()
        words = [replace(word, confidence=sure) for word, sure in zip(segment.words, sure_W, strict=True)]
        return replace(segment, words=tuple(words))


def measures(segment: Segment) -> NDArray[np.float64]:
    """Return the measures of the words of a segment, `[W, M]`: of the mean and the least sure character, and length."""
    found, place = [], 0
    for word in segment.words:
        sure = [each.confidence for each in segment.characters[place : place + len(word.text)]]
        place += len(word.text)
        found.append([_logit(word.confidence), _logit(min(sure)), np.log(len(sure))])
    return np.array(found).reshape(-1, 3)


def _logit(probability: float) -> float:
    inside = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return float(np.log(inside / (1 - inside)))


def is_right(reference: str, segment: Segment | None) -> list[bool]:
    """Return whether each word of a segment is one of the reference, by an alignment with the fewest edits."""
    heard = [word.text for word in segment.words] if segment else []
    right = [False] * len(heard)
    for block in Levenshtein.opcodes(reference.split(), heard):
        if block.tag == "equal":
            right[block.dest_start : block.dest_end] = [True] * (block.dest_end - block.dest_start)
    return right


def calibration_error(sure_W: NDArray[np.float64], right_W: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: the mean over words of |confidence - share of right words| in their bin.

    Ten bins of equal width (Guo et al. 2017, "On calibration of modern neural networks", section 2).
    """
    bin_W = np.minimum((sure_W * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(sure_W[own].mean() - right_W[own].mean())) * int(own.sum())
        for own in (bin_W == number for number in range(BINS))
        if own.any()
    ]
    return sum(gaps) / max(len(sure_W), 1)


def learn(segments: Sequence[Segment | None], references: Sequence[str]) -> WordConfidence:
    """Learn from segments whose texts are known; there must be `LEAST_WORDS` words at least."""
    measures_WM = np.concatenate([measures(each) for each in segments if each is not None])
    right_W = np.array([each for pair in zip(references, segments, strict=True) for each in is_right(*pair)])
    raw_W = np.array([word.confidence for each in segments if each is not None for word in each.words])
    sure_W, half_W = np.empty(len(raw_W)), np.arange(len(raw_W)) % 2 == 0
    for own in (half_W, ~half_W):
        sure_W[~own] = fit(measures_WM[own], right_W[own].astype(np.int64), 2).probabilities(measures_WM[~own])[:, 1]
    return WordConfidence(
        regression=fit(measures_WM, right_W.astype(np.int64), 2),
        words=len(raw_W),
        before=calibration_error(raw_W, right_W),
        after=calibration_error(sure_W, right_W),
    )


def heard(
    model: AcousticModel, searches: Searches, index: ShardIndex, language: str, split: str, most: int
) -> tuple[list[str], list[Segment | None]]:
    """Return what was said in the first utterances of a split, and what is written down."""
    references: list[str] = []
    segments: list[Segment | None] = []
    rows = range(min(index.language(language).utterances(split), most))
    with contextlib.closing(ShardReader(index)) as reader:
        for start in range(0, len(rows), _AT_ONCE):
            said = [reader.read(language, split, row) for row in rows[start : start + _AT_ONCE]]
            outputs = [
                Outputs(0, each) for each in model.log_probs([language] * len(said), [one.audio for one in said])
            ]
            references += [each.text for each in said]
            segments += decode_segments(model.vocabularies[language], searches[language], outputs)
    return references, segments


Confidences = Mapping[str, WordConfidence]
"""By language."""


def learn_confidences(model: AcousticModel, searches: Searches, shards: str) -> tuple[Confidences, list[str]]:
    """Learn the confidences of every language of a model from its dev utterances.

    A language with fewer than `LEAST_WORDS` words in them is left out.

    Returns:
        The confidences, and a line about each language, for people.

    Raises:
        ShardsError: the shards cannot be read.
    """
    languages = sorted(model.vocabularies)
    index = ShardIndex.load(shards, languages)
    found, lines = {}, []
    for language in languages:
        references, segments = heard(model, searches, index, language, "dev", UTTERANCES)
        words = sum(len(segment.words) for segment in segments if segment is not None)
        if words < LEAST_WORDS:
            lines.append(
                f"{language}: confidences are not calibrated, as {shards} has {counted(words, 'word')} in its dev "
                f"utterances and {LEAST_WORDS} are needed"
            )
            continue
        own = found[language] = learn(segments, references)
        lines.append(
            f"{language}: confidences calibrated on {own.words:,} dev words, expected calibration error "
            f"{own.before:.1%} before and {own.after:.1%} after"
        )
    return found, lines
