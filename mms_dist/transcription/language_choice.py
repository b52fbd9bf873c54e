"""Choose the language of a recording among candidates, by how their adapters hear it.

Scores of different vocabularies are not comparable as they are. So some measures of the outputs of every candidate's
adapter are put together, and a logistic regression learns from dev utterances, whose languages are known, what they say
about the language.

Legend: T frames, V a vocabulary, N candidates, M = 7 N measures.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.errors import DataError
from mms_dist.transcription.inputs import Item
from mms_dist.transcription.logistic_regression import LogisticRegression, fit
from shards.audio.recording import Samples
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.vocabulary import BLANK, SPACE

UTTERANCES = 50
"""Dev utterances of each candidate that are learned from: the longest ones."""
LEAST_UTTERANCES = 5
HEARD_SECONDS = 12.0
"""Audio of a recording that the choice is made by."""


def measures(log_probs: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the measures `[M]` of one recording, from the outputs `[T, V]` of each candidate."""
    return np.concatenate([_measures(log_prob_TV.astype(np.float64)) for log_prob_TV in log_probs])


def _measures(log_prob_TV: NDArray[np.float64]) -> NDArray[np.float64]:
    best_T, label_T = log_prob_TV.max(axis=1), log_prob_TV.argmax(axis=1)
    letter_T = label_T > SPACE
    return np.array(
        [
            best_T.mean(),
            best_T[letter_T].mean() if letter_T.any() else -5.0,
            letter_T.mean(),
            -(np.exp(log_prob_TV) * log_prob_TV).sum(axis=1).mean(),  # entropy
            log_prob_TV[:, SPACE + 1 :].max(axis=1).mean(),
            (label_T == SPACE).mean(),
            log_prob_TV[:, BLANK].mean(),
        ]
    )


@dataclass(frozen=True)
class LanguageChoice:
    """How the language is chosen among some."""

    languages: tuple[str, ...]
    regression: LogisticRegression

    def choose(self, model: AcousticModel, audio: Samples) -> tuple[str, float]:
        """Return the likeliest language of a recording, and its probability."""
        heard = audio[: int(HEARD_SECONDS * SAMPLE_RATE)]
        outputs = model.log_probs(self.languages, [heard] * len(self.languages))
        probability_N = self.regression.probabilities(measures(outputs)[None])[0]
        best = int(probability_N.argmax())
        return self.languages[best], float(probability_N[best])


def calibrate(model: AcousticModel, languages: Sequence[str], shards: str) -> LanguageChoice:
    """Learn to choose among languages from their dev utterances.

    Raises:
        DataError: a language has too few.
        ShardsError: the shards cannot be read.
    """
    index = ShardIndex.load(shards, sorted(languages))
    found, known = [], []
    with contextlib.closing(ShardReader(index)) as reader:
        for place, language in enumerate(languages):
            table = index.language(language).table("dev")
            rows = np.sort(np.argsort(-table.samples, kind="stable")[:UTTERANCES]).tolist()
            if len(rows) < LEAST_UTTERANCES:
                raise DataError(
                    f"{language} has {len(rows)} dev utterances in {shards}, expected at least {LEAST_UTTERANCES} to "
                    "learn how to tell the languages apart",
                    fix="give one language with --lang, or shards with a larger dev split",
                )
            for row in rows:
                audio = reader.read(language, "dev", row).audio[: int(HEARD_SECONDS * SAMPLE_RATE)]
                found.append(measures(model.log_probs(languages, [audio] * len(languages))))
                known.append(place)
    return LanguageChoice(tuple(languages), fit(np.array(found), np.array(known), len(languages)))


Choices = Mapping[tuple[str, ...], LanguageChoice]
"""How the language is chosen, for each set of candidates."""


def learn_choices(model: AcousticModel, items: Sequence[Item], shards: str | None) -> Choices:
    """Learn to choose among the languages of every recording that may have several.

    Raises:
        DataError: there is nothing to learn from.
    """
    candidates = {item.languages for item in items if len(item.languages) > 1}
    place = shards or model.shards
    if candidates and place is None:
        raise DataError(
            "there are no dev utterances from which to learn how to tell the languages apart",
            fix="give shards with --calibrate-on SHARDS, or one language for each recording",
        )
    return {languages: calibrate(model, languages, str(place)) for languages in candidates}
