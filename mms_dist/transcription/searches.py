"""Choose how each language of a model is decoded: greedily, or with its language model and the weights tuned for it."""

from collections.abc import Mapping
from pathlib import Path

from mms_dist.decoding.beam_search import Beam
from mms_dist.decoding.search_settings import DEFAULT_ALPHA, DEFAULT_BETA, SearchSettings
from mms_dist.emissions.acoustic_model import AcousticModel
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
    beam_width: int = 100,
    tuned: TunedWeights | None = None,
) -> Searches:
    """Return how each language of a model is decoded.

    Args:
        tuned: the weights that are used where `alpha` and `beta` are None.

    Raises:
        DataError: a language has no language model, or one that does not fit it.
    """
    if lm is None:
        return dict.fromkeys(model.vocabularies)
    searches = {}
    for language, vocabulary in model.vocabularies.items():
        path = find_model(lm, language)
        known = tuned.of(language, path) if tuned and alpha is None and beta is None else None
        weights = (known.alpha, known.beta) if known else (DEFAULT_ALPHA, DEFAULT_BETA)
        search = SearchSettings(
            vocabulary,
            path,
            weights[0] if alpha is None else alpha,
            weights[1] if beta is None else beta,
            Beam(beam_width),
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
