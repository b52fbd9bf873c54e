"""The bench: languages in their slots with one batch each, which the sections describe and the checks use.

Legend: B utterances of a forward pass, R row length.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from mms_dist.config import Optim
from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.collate import AudioBatch, collate
from mms_dist.data.language_summaries import Work
from mms_dist.data.stream import Position
from mms_dist.debugging.utterance_choice import similar_lengths, take_by_length
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model import transfer
from mms_dist.model.base import FrozenBase
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.optimizer import Outcome, RowStep
from mms_dist.model.routed import ModelInput, RoutedModel
from mms_dist.model.waveform import normalised
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.components import RunComponents
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.passes import DevicePass
from mms_dist.training.progress import Progress
from mms_dist.training.scheduler import QueuedLanguage
from mms_dist.training.trial import Trial
from shards.index import ShardIndex
from shards.read import ShardReader


@dataclass(frozen=True)
class Forward:
    """One forward pass with its inputs."""

    members: Sequence[Utterance]
    collated: AudioBatch
    batch: ModelInput
    logits_BTV: Tensor
    losses_B: Tensor


@dataclass
class Bench:
    """The components of a run with every language in a slot, restored from its checkpoint.

    Inside `restored_afterwards`, checks may change rows, gradients and moments freely; they are restored at the end.
    """

    base: str
    seed: int
    components: RunComponents
    index: ShardIndex
    active_languages: dict[str, ActiveLanguage]
    batches: dict[str, LoadedBatch]

    @classmethod
    def of(cls, trial: Trial, reader: ShardReader, *, base: str, seed: int, count: int) -> "Bench":
        """Put every language of a trial back into a slot, with a batch of `count` utterances.

        Lengths are similar across languages, so that their utterances share passes.

        Raises:
            DataError: no utterance of a language can be read.
        """
        active_languages = {}
        for slot, language in enumerate(trial.index.languages):
            progress = Progress.from_state(trial.store.load(language).state)
            queued = QueuedLanguage(Work(language, 1.0), restored=progress)
            active_languages[language] = trial.components.language_slots.enter(queued, slot, progress.round)
        seconds = similar_lengths([active.stream.table for active in active_languages.values()], count)
        batches = {
            language: LoadedBatch(BatchRequest(language, Position()), take_by_length(reader, active, seconds))
            for language, active in active_languages.items()
        }
        return cls(base, seed, trial.components, trial.index, active_languages, batches)

    @property
    def languages(self) -> list[str]:
        return list(self.active_languages)

    def utterances(self) -> list[Utterance]:
        """Return the utterances of all batches, language by language."""
        return [utterance for batch in self.batches.values() for utterance in batch.utterances]

    def forward_groups(self) -> list[list[Utterance]]:
        """Return the utterances of each forward pass of the round, grouped as in training."""
        everything = self.utterances()
        passes = self.components.gradients.plan_passes(everything)
        return [[everything[item] for strip in strips for item in strip] for strips in passes]

    def first_pass(self) -> DevicePass:
        """Return the first forward pass of the round, prepared as in training."""
        everything = self.utterances()
        strips = self.components.gradients.plan_passes(everything)[0]
        sizes = {language: len(batch.utterances) for language, batch in self.batches.items()}
        members = [[everything[item] for item in strip] for strip in strips]
        return self.components.gradients.device_pass(members, sizes, self.active_languages)

    def forward(self, members: Sequence[Utterance], model: RoutedModel | None = None) -> Forward:
        """Run a forward pass with its graph, without SpecAugment or dropout."""
        model = model or self.components.model
        collated = collate(members, seed=self.seed)
        device, frames_B = model.base.device, collated.frames_B
        audio_BS, samples_B = (transfer.to_device(each, device) for each in (collated.audio_BS, collated.samples_B))
        features_BTC = model.base.features(normalised(audio_BS, samples_B))
        slots_B = torch.tensor([self.active_languages[member.language].slot for member in members])
        batch = ModelInput(features_BTC, frames_B, slots_B)
        logits_BTV = model.logits(batch)
        labels = (frames_B, collated.labels_BL, collated.label_lengths_B)
        losses_B = utterance_losses(logits_BTV, *(transfer.to_device(each, device) for each in labels))
        return Forward(members, collated, batch, logits_BTV, losses_B)

    @cached_property
    def exact_model(self) -> RoutedModel:
        """The model in at least float32 with the same rows: bfloat16 would hide what some checks look for."""
        model = self.components.model
        if model.base.dtype != torch.bfloat16:
            return model
        base = FrozenBase.load(self.base, dtype=torch.float32, device=model.base.device)
        return RoutedModel(base, model.bank, activation_checkpointing=model.activation_checkpointing)

    def gradient_pass(self, model: RoutedModel | None = None, features: FeatureSource | None = None) -> GradientPass:
        """Return the gradient pass of training, over this model and these features."""
        model = model or self.components.model
        return GradientPass(
            model,
            features or FeatureSource(model.base, cache_gib=0.0),
            forward_seconds=self.components.gradients.forward_seconds,
            forward_cost=self.components.gradients.forward_cost,
            seed=self.seed,
            packed=self.components.gradients.packed,
        )

    def gradients(
        self, batches: Iterable[LoadedBatch], through: GradientPass | None = None
    ) -> tuple[RoundLosses, Tensor]:
        """Return the losses of a round and its gradients [S, R]; the gradients in the bank are zero afterwards."""
        bank = self.components.bank
        bank.grads.zero_()
        losses = (through or self.gradient_pass()).accumulate(list(batches), self.active_languages)
        grads_SR = bank.grads.clone()
        bank.grads.zero_()
        return losses, grads_SR

    def step(self, languages: Sequence[str], grads_SR: Tensor, **changes: float) -> dict[str, Outcome]:
        """Take an optimizer step for these languages with these gradients; `changes` overrides optimizer settings."""
        self.components.bank.grads.copy_(grads_SR)
        rows = []
        for language in languages:
            active = self.active_languages[language]
            optim: Optim = replace(active.settings.optim, **changes)  # type: ignore[arg-type]
            rows.append(RowStep(active.slot, min(active.progress.step + 1, optim.steps), optim))
        return dict(zip(languages, self.components.optimizer.step(rows), strict=True))

    def state(self, language: str) -> Tensor:
        """Return the weights and moments of a language, [1 + moments, R]."""
        slot, optimizer = self.active_languages[language].slot, self.components.optimizer
        buffers = (self.components.bank.rows.detach(), *optimizer.buffers.values())
        return torch.stack([buffer[slot] for buffer in buffers])

    @contextlib.contextmanager
    def restored_afterwards(self) -> Iterator[None]:
        """Restore rows, moments and gradients at the end of the block."""
        bank, optimizer = self.components.bank, self.components.optimizer
        buffers = (bank.rows.detach(), bank.grads, *optimizer.buffers.values())
        copies = [buffer.clone() for buffer in buffers]
        try:
            yield
        finally:
            for buffer, copy in zip(buffers, copies, strict=True):
                buffer.copy_(copy)


def lengths(utterances: Iterable[Utterance]) -> list[int]:
    """Return the number of audio samples of each utterance."""
    return [len(utterance.audio) for utterance in utterances]


def relative_distance(found: Tensor, expected: Tensor) -> float:
    """Return ‖found - expected‖ / ‖expected‖, computed in float64."""
    return float((found.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-300))
