"""What a beam search of one language is made from: small enough to send to another process, which loads the model."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mms_dist.config import Evaluation
from mms_dist.decoding.beam_search import Beam, BeamSearch
from mms_dist.decoding.fusion import Fusion
from mms_dist.decoding.shallow_fusion import fuse
from mms_dist.errors import DataError
from mms_dist.language_model.finding import find_model
from mms_dist.language_model.interface import LanguageModel
from mms_dist.language_model.loading import load_model
from shards.vocabulary import Vocabulary

MODELS_KEPT = 8
"""Language models kept in the memory of a process, each with what the search has remembered of it."""
DEFAULT_ALPHA, DEFAULT_BETA = 0.5, 1.0
"""Weights of a language model that was not tuned."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """A beam search of one language.

    Attributes:
        vocabulary: of the logits; it names the language.
        language_model: file; None: the audio alone decides.
        alpha: weight of the model's log-probability.
        beta: added for each of its units.
    """

    vocabulary: Vocabulary
    language_model: Path | None = None
    alpha: float = DEFAULT_ALPHA
    beta: float = DEFAULT_BETA
    beam: Beam = field(default_factory=Beam)

    @classmethod
    def of(cls, vocabulary: Vocabulary, settings: Evaluation) -> "SearchSettings":
        """Return what a language's section `evaluation` says.

        Raises:
            DataError: the folder of language models has none of this language.
        """
        place = settings.language_model
        return cls(
            vocabulary,
            None if place is None else find_model(place, vocabulary.language),
            DEFAULT_ALPHA if settings.lm_alpha is None else settings.lm_alpha,
            DEFAULT_BETA if settings.lm_beta is None else settings.lm_beta,
            Beam(settings.beam_width),
        )

    def search(self) -> BeamSearch:
        """Make the search; the language models used last are in memory.

        Raises:
            DataError: the file is no language model, or one of another language or script.
        """
        fusion = None
        if self.language_model is not None:
            fusion = fused_model(self.language_model, self.vocabulary).weighted(self.alpha, self.beta)
        return BeamSearch(self.vocabulary, fusion, beam=self.beam)


def fused_model(path: Path, vocabulary: Vocabulary) -> Fusion:
    """Load a model and fit it to a vocabulary.

    Raises:
        DataError: as `SearchSettings.search`.
    """
    return _fused(path, _changed(path), vocabulary)


def load_once(path: Path) -> LanguageModel:
    """Load a model, or return the one in memory if the file has not changed.

    Raises:
        DataError: the file is no language model.
    """
    return _loaded(path, _changed(path))


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise DataError(f"the language model {path} cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=MODELS_KEPT)
def _loaded(path: Path, changed: int) -> LanguageModel:
    return load_model(path)


@lru_cache(maxsize=MODELS_KEPT)
def _fused(path: Path, changed: int, vocabulary: Vocabulary) -> Fusion:
    model = _loaded(path, changed)
    if model.language not in (None, vocabulary.language):
        raise DataError(
            f"the language model {path} is one of {model.language}, expected one of {vocabulary.language}",
            fix="give a folder with a model for each language, or choose the language with --languages",
        )
    return fuse(model, vocabulary)
