"""Choose how each language of a model is decoded: greedily, or with its language model and the weights tuned for it."""

from collections.abc import Mapping
from pathlib import Path

from mms_dist.decoding.beam_search import Beam
from mms_dist.decoding.search_settings import DEFAULT_ALPHA, DEFAULT_BETA, SearchSettings
from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.evaluation.search_scoring import BEAM_SEARCH
from mms_dist.language_model.finding import find_model
from mms_dist.run_directory.tuned_weights import TunedWeights

Searches = Mapping[str, SearchSettings | None]
"""How each language is decoded; None: greedily."""


def choose_searches(
    model: AcousticModel,
    lm: str | Path | None,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    beam_width: int | None = None,
    tuned: TunedWeights | None = None,
) -> Searches:
    """Return how each language of a model is decoded.

    Args:
        lm: language model, or a folder of them; None: as the model's own settings of `evaluation` say. Those also hold
            where `alpha`, `beta` and `beam_width` are None.
        tuned: the weights that are used where neither says any.

    Raises:
        DataError: a language has no language model, or one that does not fit it.
    """
    searches: dict[str, SearchSettings | None] = {}
    for language, vocabulary in model.vocabularies.items():
        own = model.evaluations[language]
        if lm is None and own.decoder != BEAM_SEARCH:
            searches[language] = None
            continue
        place = own.language_model if lm is None else lm
        path = None if place is None else find_model(place, language)
        alpha_given = own.lm_alpha if alpha is None else alpha
        beta_given = own.lm_beta if beta is None else beta
        known = tuned.of(language, path) if tuned and path and alpha_given is None and beta_given is None else None
        weights = (known.alpha, known.beta) if known else (DEFAULT_ALPHA, DEFAULT_BETA)
        search = SearchSettings(
            vocabulary,
            path,
            weights[0] if alpha_given is None else alpha_given,
            weights[1] if beta_given is None else beta_given,
            Beam(own.beam_width if beam_width is None else beam_width),
        )
        search.search()  # raises now if it does not fit
        searches[language] = search
    return searches


def not_tuned(searches: Searches, tuned: TunedWeights) -> list[str]:
    """Return the languages decoded with a language model and the usual weights, because none were tuned for them."""
    return [
        language
        for language, search in searches.items()
        if search is not None
        and search.language_model is not None
        and (search.alpha, search.beta) == (DEFAULT_ALPHA, DEFAULT_BETA)
        and tuned.of(language, search.language_model) is None
    ]
