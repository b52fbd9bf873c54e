"""Score adapters, such as those of a run, on a split of its shards, one language at a time in a single slot."""

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch

from mms_dist.checkpoint.adapter_file import AdapterMismatch, check_adapter
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.snapshot import Damage
from mms_dist.config import Config
from mms_dist.data.conditioned import Conditioned
from mms_dist.data.urgency_pool import UrgencyPool, reading_pool
from mms_dist.data.utterance_source import Read, shard_cache
from mms_dist.decoding.decoder import DecoderOf, decoders_of
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.distributed.device import set_threads, use_device
from mms_dist.distributed.gpu import naming_the_gpu
from mms_dist.errors import CheckpointError, DataError
from mms_dist.evaluation.adapter_source import AdapterSource, LoadedAdapter, RunAdapters
from mms_dist.evaluation.condition_scoring import (
    ConditionResult,
    Heard,
    score_conditions,
    score_tags,
)
from mms_dist.evaluation.evaluator import EvaluationRequest, Evaluator, Transcription
from mms_dist.evaluation.metrics import MeasuredTexts, Scores
from mms_dist.evaluation.scoring_options import ScoringOptions
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules, text_of_transcripts
from mms_dist.evaluation.search_scoring import BEAM_SEARCH, Searched, SearchScorer, check_language_models
from mms_dist.evaluation.text_edits import Confusions, confusions
from mms_dist.evaluation.utterance_groups import Groups, group_scores, read_attributes
from mms_dist.features.feature_source import FeatureSource
from mms_dist.hardware.base_loading import load_base
from mms_dist.hardware.hardware import single_process_hardware
from mms_dist.hardware.hardware_record import read_kept_settings
from mms_dist.hardware.resolve import Resolved, resolve
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.routed import RoutedModel
from mms_dist.model.staging import StagingBlocks
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.quarantine import QuarantineMark
from mms_dist.run_directory.tuned_weights import TunedWeights
from shards.errors import Problem
from shards.index import LanguageIndex, ShardIndex
from shards.read import ShardReader


@dataclass(frozen=True, kw_only=True)
class LanguageResult:
    """One language's scores, and what was scored.

    Attributes:
        step: of the checkpoint; None if it is not one of a run.
        checkpoint: `best`, `last`, or the `newest` intact one; `published` if it is not one of a run.
        searched: what beam search was done with, and what greedy decoding gives; None with another decoder.
        rules: what counts as an error.
        written: the case and punctuation of the transcripts (`scoring_rules.text_of_transcripts`).
        groups: the scores of each speaker, duration, source and tag.
        confusions: the most frequent errors.
        conditions: the scores on changed audio and of tagged utterances, by label.
    """

    language: str
    step: int | None
    checkpoint: str
    scores: Scores
    transcription: Transcription
    quarantined: QuarantineMark | None = None
    searched: Searched | None = None
    rules: ScoringRules = AS_WRITTEN
    written: Mapping[str, str | None] = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    confusions: Confusions = field(default_factory=Confusions)
    conditions: Mapping[str, ConditionResult] = field(default_factory=dict)

    @cached_property
    def texts(self) -> MeasuredTexts:
        """What was decoded, and every utterance's errors."""
        return self.transcription.measured(self.rules)


class SplitScorer:
    """Scores the languages of some adapters that have the split.

    Args:
        config: of the run whose base, shards and settings are used.
        languages: languages to score; None: every language that has an adapter.
        absent: codes that have an adapter and were left out because the shards lack them.
        tuned: the weights of language models that are known.

    Attributes:
        languages: codes, in the order of scoring.
        absent: as given.
        without_split: codes left out because their shards do not have the split.
        failed: codes that could not be scored, each with the reason.

    Raises:
        CheckpointError: a language has no adapter, or there is none at all.
        DataError: no language has the split, or a language in `languages` does not, or not what a condition needs; or
            a language model is missing, or not one of its language and script.
        ShardsError: the shards are missing, or a shard of the split is not as long as its index says.
    """

    def __init__(
        self,
        config: Config,
        adapters: AdapterSource,
        options: ScoringOptions,
        *,
        languages: Sequence[str] | None = None,
        absent: Sequence[str] = (),
        tuned: TunedWeights,
    ) -> None:
        self._config = config
        self._adapters = adapters
        self._options = options
        self._split = split = options.split
        self._tuned = tuned
        self.absent = list(absent)
        chosen, self.failed = adapters.choose(languages)
        self._index = ShardIndex.load(config.data.shards, chosen)
        self.without_split = [code for code in chosen if not self._index.language(code).utterances(split)]
        self.languages = [code for code in chosen if code not in self.without_split]
        if not self.languages or (languages and self.without_split):
            raise _no_split(self._index, self.without_split, split)
        for code in self.languages:
            options.conditions.check(self._index.language(code), split)
        reader = ShardReader(self._index)
        try:
            for code in self.languages:
                reader.check_sizes(code, split)
        finally:
            reader.close()
        check_language_models(config, adapters, self.languages, tune=options.tune)

    @property
    def index(self) -> ShardIndex:
        """The shards that are scored."""
        return self._index

    def decoder_of(self, language: str) -> str:
        """Return the name of the decoder that a language is decoded with."""
        return self._config.for_language(language).evaluation.decoder

    @property
    def damaged(self) -> list[Damage]:
        """Checkpoints found damaged so far; an older intact one was scored instead."""
        return list(self._adapters.damaged)

    def results(
        self, on_utterances: Callable[[str, int], None] = lambda language, count: None
    ) -> Iterator[LanguageResult]:
        """Score one language after the other.

        `on_utterances` is called before each language with 0, and with the number of utterances of each forward pass.

        A language that cannot be scored (no intact checkpoint, or no readable utterance) is added to `failed`; the
        others are still scored.

        Raises:
            CheckpointError: a checkpoint does not fit the base. Then the base is wrong for all languages.
            BaseModelError: the base cannot be loaded.
            ConfigError: `run.device` is not available.
            DeviceError: the GPU fails.
            TrainingError: the device has too little memory for a pass.
        """
        config = self._config
        set_threads(config.run.threads)
        device = use_device(config.run.device)
        resolved = self.resolved(device)
        base = load_base(config, device, resolved)
        staging = StagingBlocks(device, budget_bytes=resolved.staging_bytes)
        with (
            naming_the_gpu(device),
            contextlib.closing(ShardReader(self._index, shard_cache(config.data))) as reader,
            reading_pool(resolved.workers) as pool,
            self._adapters.opened(),
            SearchPool(self._options.processes) as search_pool,
        ):
            search = SearchScorer(search_pool, self._tuned, tune=self._options.tune)
            for code in self.languages:
                on_utterances(code, 0)
                index = self._index.language(code)
                result = self._score(base, resolved, reader, pool, staging, index, search, partial(on_utterances, code))
                if result is not None:
                    yield result

    def resolved(self, device: torch.device) -> Resolved:
        """Resolve the settings for evaluation: as in training, except that passes are padded, nothing is compiled and
        the number of threads is this machine's."""
        run = self._adapters.run
        kept = None if run is None else read_kept_settings(run, on_gpu=device.type == "cuda")
        kept = kept and replace(kept, attention="padded", compile=False, threads=None)
        model = replace(self._config.model, attention="padded", compile="off", feature_cache_gib=0.0)
        return resolve(replace(self._config, model=model), single_process_hardware(device), kept=kept)

    def _score(
        self,
        base: FrozenBase,
        resolved: Resolved,
        reader: ShardReader,
        pool: UrgencyPool[Read] | None,
        staging: StagingBlocks,
        index: LanguageIndex,
        search: SearchScorer,
        on_pass: Callable[[int], None],
    ) -> LanguageResult | None:
        try:
            loaded = self._adapters.load(index.language)
        except CheckpointError as error:
            self.failed[index.language] = error.problem
            return None
        bank = self._bank(base, index.language, loaded)
        vocabulary = loaded.vocabulary

        def make(decoder_of: DecoderOf, most: int | None) -> Evaluator:
            return Evaluator(
                RoutedModel(base, bank),
                FeatureSource(base, cache_gib=0.0),
                reader,
                forward_seconds=resolved.evaluation_seconds,
                forward_cost=resolved.forward_cost_samples,
                max_utterances=most,
                pool=pool,
                staging=staging,
                decoder_of=decoder_of,
                on_pass=on_pass,
            )

        settings = self._config.for_language(index.language).evaluation
        searched = None
        if settings.decoder == BEAM_SEARCH:
            try:
                searched = search.transcribe(
                    make,
                    index,
                    self._split,
                    vocabulary,
                    settings,
                    most=self._options.max_utterances,
                    step=loaded.step or 0,
                )
            except DataError as error:
                self.failed[index.language] = error.problem
                return None
            transcription = searched.transcription
        else:
            evaluator = make(decoders_of(self._config), self._options.max_utterances)
            transcription = evaluator.transcribe(index, self._split, 0, vocabulary)
        if not transcription.keys:
            self.failed[index.language] = Problem(
                f"none of the {len(transcription.damaged)} {self._split} utterances of {index.language} could be read",
                f"`mms-dist shards verify {self._index.root}` lists the damage",
            )
            return None

        def listen(condition: Conditioned) -> Heard:
            request = EvaluationRequest(index, self._split, 0, vocabulary, condition=condition)
            if searched is None:
                evaluator = make(decoders_of(self._config), self._options.max_utterances)
                return Heard(evaluator.transcribe_all([request])[0])
            again = search.transcribe_again(make, request, searched, most=self._options.max_utterances)
            return Heard(again.transcription, again.greedy)

        return self._result(index, reader, loaded, transcription, searched, listen)

    def _bank(self, base: FrozenBase, language: str, loaded: LoadedAdapter) -> AdapterBank:
        layout = RowLayout(len(base.layers), base.hidden, self._config.adapter.dim)
        try:
            check_adapter(loaded.tensors, layers=layout.layers, hidden=layout.hidden, dim=layout.dim)
        except AdapterMismatch as problem:
            raise CheckpointError(
                f"the checkpoint of {language} (step {loaded.step}) does not fit the base "
                f"{self._config.model.base}: {problem.found}",
                problem.fix,
            ) from problem
        bank = AdapterBank(
            layout,
            slots=1,
            largest_vocabulary=len(loaded.vocabulary),
            dtype=torch.promote_types(base.dtype, torch.float32),
            device=base.device,
        )
        bank.load(0, dict(loaded.tensors))
        return bank

    def _result(
        self,
        index: LanguageIndex,
        reader: ShardReader,
        loaded: LoadedAdapter,
        said: Transcription,
        searched: Searched | None,
        listen: Callable[[Conditioned], Heard],
    ) -> LanguageResult:
        rules = ScoringRules.of(index.language, said.references, self._options.ignore)
        texts = said.measured(rules)
        attributes = read_attributes(reader, index, self._split, said.rows)
        conditions = self._options.conditions.of_split(reader, index, self._split)
        seed = zlib.crc32(index.language.encode())
        return LanguageResult(
            language=index.language,
            step=loaded.step,
            checkpoint=loaded.checkpoint,
            scores=texts.measured.scores(),
            transcription=said,
            quarantined=loaded.quarantined,
            searched=searched and replace(searched, rules=rules),
            rules=rules,
            written=text_of_transcripts(index.text_rules),
            groups=group_scores(texts.measured, attributes),
            confusions=confusions(zip(said.references, said.hypotheses, strict=True), rules),
            conditions=score_conditions(texts, conditions, listen, rules, seed=seed)
            | (score_tags(texts, attributes, seed=seed) if self._options.conditions.tags else {}),
        )


class RunScorer(SplitScorer):
    """Scores the languages of a run.

    Args:
        pointer: checkpoint to score. A language that was never evaluated has no `best`; its `last` is scored instead.
    """

    def __init__(
        self,
        directory: Path,
        config: Config,
        options: ScoringOptions,
        *,
        languages: Sequence[str] | None = None,
        pointer: PointerName = "best",
    ) -> None:
        tuned = TunedWeights(RunPaths(directory).evaluations)
        super().__init__(config, RunAdapters(directory, pointer), options, languages=languages, tuned=tuned)


def _no_split(index: ShardIndex, lacking: Sequence[str], split: str) -> DataError:
    code = lacking[0]
    present = ", ".join(f"{name} ({index.language(code).utterances(name):,})" for name in index.language(code).splits)
    others = len(lacking) - 1
    more = f" ({others:,} more {'languages lack' if others > 1 else 'language lacks'} it)" if others else ""
    return DataError(
        f"{code} in {index.root} has no {split} utterances, only {present or 'none at all'}{more}",
        fix="choose another --split, leave the language out with --languages, or build the shards with a "
        f"{split} split",
    )
