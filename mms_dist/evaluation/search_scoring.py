"""Decode a split by beam search, and greedily from the same outputs; tune the language model's weights on dev."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mms_dist.config import Config, Evaluation
from mms_dist.decoding.beam_search import Hypothesis
from mms_dist.decoding.beam_search_decoder import GreedyAndRecord, LogProbs
from mms_dist.decoding.decoder import DecoderOf
from mms_dist.decoding.fusion_tuning import tune
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.decoding.search_settings import SearchSettings, load_once
from mms_dist.errors import CheckpointError, DataError
from mms_dist.evaluation.adapter_source import AdapterSource
from mms_dist.evaluation.evaluator import EvaluationRequest, Evaluator, Transcription
from mms_dist.evaluation.metrics import Scores, measure
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules
from mms_dist.language_model.finding import find_model
from mms_dist.language_model.scoring import perplexity
from mms_dist.run_directory.tuned_weights import Tuned, TunedWeights, sha256_of
from shards.index import LanguageIndex
from shards.vocabulary import Vocabulary

BEAM_SEARCH = "beam_search"
"""The name in `evaluation.decoder` of the decoder that is spread over processes here."""
TUNING_UTTERANCES = 200
"""Dev utterances of a language that weights are tuned on, at most: enough to tell weights apart, in a minute."""
_MOST_UNKNOWN = 0.5

EvaluatorOf = Callable[[DecoderOf, int | None], Evaluator]
"""Makes an evaluator with this decoder, of at most so many utterances."""


@dataclass(frozen=True)
class Searched:
    """What the search gave, and what greedy decoding gave.

    Attributes:
        settings: the weights that were used.
        tuned: if they were tuned, on what.
        note: something about the language model that looks wrong; None if nothing does.
        rules: what counts as an error.
    """

    transcription: Transcription
    greedy: Transcription
    settings: SearchSettings
    tuned: Tuned | None = None
    note: str | None = None
    rules: ScoringRules = AS_WRITTEN

    @cached_property
    def greedy_scores(self) -> Scores:
        return self.greedy.scores(self.rules)


class SearchScorer:
    """Decodes languages by beam search.

    Args:
        pool: where the search runs, while this process computes outputs.
        tuned: the run's weights, used where `evaluation` leaves them open.
        tune: find the weights on dev first, and store them.
    """

    def __init__(self, pool: SearchPool, tuned: TunedWeights, *, tune: bool) -> None:
        self._pool = pool
        self._tuned = tuned
        self._tune = tune

    def transcribe(
        self,
        make: EvaluatorOf,
        index: LanguageIndex,
        split: str,
        vocabulary: Vocabulary,
        settings: Evaluation,
        *,
        most: int | None,
        step: int,
    ) -> Searched:
        """Decode a split of a language.

        Args:
            most: utterances that are decoded; None: all.
            step: of the checkpoint, for the record of tuning.

        Raises:
            DataError: the language model does not fit the language, or there is nothing to tune on.
        """
        search = SearchSettings.of(vocabulary, settings)
        search.search()  # finds out, before any forward pass, whether the model fits
        model = search.language_model
        tuned = None
        if self._tune:
            tuned = self._tuned_on_dev(make, index, search, step)
        elif model and settings.lm_alpha is None and settings.lm_beta is None:
            tuned = self._tuned.of(index.language, model)
        if tuned:
            search = replace(search, alpha=tuned.alpha, beta=tuned.beta)
        transcription, greedy = self._decode(make, EvaluationRequest(index, split, 0, vocabulary), search, most)
        note = _note_on(model, index.language, split, greedy.references) if model and greedy.references else None
        return Searched(transcription, greedy, search, tuned, note)

    def transcribe_again(
        self, make: EvaluatorOf, request: EvaluationRequest, searched: Searched, *, most: int | None
    ) -> Searched:
        """Decode what is requested, such as a split under a condition, with the settings of an earlier search."""
        transcription, greedy = self._decode(make, request, searched.settings, most)
        return replace(searched, transcription=transcription, greedy=greedy)

    def _decode(
        self, make: EvaluatorOf, request: EvaluationRequest, search: SearchSettings, most: int | None
    ) -> tuple[Transcription, Transcription]:
        """Return what the search gives, and what greedy decoding does."""
        waiting: list[Future[list[Hypothesis]]] = []
        parts = self._outputs(make, request, most, lambda outputs: waiting.append(self._pool.decode(search, outputs)))
        searched = [
            replace(part, hypotheses=[found.text for found in future.result()])
            for part, future in zip((part for part in parts if part.rows), waiting, strict=True)
        ]
        damaged = [Transcription(damaged=part.damaged) for part in parts if part.damaged]
        return Transcription.joined([*searched, *damaged]), Transcription.joined(parts)

    def _outputs(
        self,
        make: EvaluatorOf,
        request: EvaluationRequest,
        most: int | None,
        record: Callable[[Sequence[LogProbs]], object],
    ) -> list[Transcription]:
        evaluator = make(lambda _, own: GreedyAndRecord(own, record), most)
        return evaluator.transcribe_passes([request])[0]

    def _tuned_on_dev(self, make: EvaluatorOf, index: LanguageIndex, search: SearchSettings, step: int) -> Tuned:
        language, model = index.language, search.language_model
        assert model is not None, "the caller has checked that there is a language model"
        outputs: list[LogProbs] = []
        request = EvaluationRequest(index, "dev", 0, search.vocabulary)
        parts = self._outputs(make, request, TUNING_UTTERANCES, outputs.extend)
        references = [text for part in parts for text in part.references]
        if not references:
            raise DataError(
                f"{language} has no dev utterances to tune the language model on",
                fix="build the shards with a dev split, or leave out --tune",
            )
        greedy = [text for part in parts for text in part.hypotheses]
        rules = ScoringRules.of(language, references)
        best = tune(self._pool, search, outputs, references, spaced=rules.spaces)[0]
        plain = measure(references, greedy, rules).scores()
        tuned = Tuned(
            language_model=str(model),
            sha256=sha256_of(model),
            alpha=best.alpha,
            beta=best.beta,
            wer=best.wer,
            cer=best.cer,
            greedy_wer=plain.wer,
            greedy_cer=plain.cer,
            utterances=len(references),
            step=step,
        )
        self._tuned.store(language, tuned)
        return tuned


def check_language_models(config: Config, adapters: AdapterSource, languages: Sequence[str], *, tune: bool) -> None:
    """Load every language's model before any work, and fit it to the characters that its adapter writes.

    Raises:
        DataError: one is missing or does not fit, or there is nothing whose weights could be tuned.
    """
    searched: dict[str, Evaluation] = {}
    for language in languages:
        settings = config.for_language(language).evaluation
        if settings.decoder == BEAM_SEARCH and settings.language_model is not None:
            find_model(settings.language_model, language)
            searched[language] = settings
        elif tune:
            raise DataError(
                f"{language} is decoded without a language model, so there are no weights to tune",
                fix="give one with --lm, or leave out --tune",
            )
    if not searched:
        return
    with adapters.opened():
        for language, settings in searched.items():
            try:
                vocabulary = adapters.load(language).vocabulary
            except CheckpointError:
                continue  # found again when this language is scored; the others are not affected
            SearchSettings.of(vocabulary, settings).search()


def _note_on(path: Path, language: str, split: str, references: list[str]) -> str | None:
    """Return what makes it doubtful that a model is one of the language. ARPA files do not say their language."""
    model = load_once(path)
    measured = perplexity(model, references)
    unknown = measured.unknown / max(measured.tokens - measured.sentences, 1)
    question = f"is it one of {language}?"
    if unknown > _MOST_UNKNOWN:
        return f"{language}: the language model lacks {unknown:.0%} of the {model.unit}s of {split}: {question}"
    if model.unit == "char" and measured.perplexity > len(model.words):
        return (
            f"{language}: the language model knows less about {split} than nothing would (perplexity "
            f"{measured.perplexity:,.0f} with {len(model.words)} characters): {question}"
        )
    return None
